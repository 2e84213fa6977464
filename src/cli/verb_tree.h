// The command line as a value: every verb with its options, read from the parser itself, so that manual pages and
// completions cannot differ from what the program takes. Hidden verbs and options are left out.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace tinderbox::cli {

struct OptionFacts {
  std::vector<std::string> names;  // as typed: "-p", "--prompt"; of a positional: its name alone
  std::string about, fallback;     // what it does; the value without it, if it has one
  std::string value;               // "NUMBER", "TEXT"; empty: a flag
  std::string limits;              // "0 to 65535"; empty: none
  std::string variable;            // of the environment; empty: none
  std::vector<std::string> words;  // what it may be, if that is a list
  bool required = false, several = false;
  char separator = 0;              // between several values of one word, if that is allowed

  bool flag() const { return value.empty(); }
};

struct VerbFacts {
  std::string name, about, footer;
  std::vector<OptionFacts> options, positionals;
  std::vector<VerbFacts> verbs;
  bool needs_verb = false;
};

// Words for options that take an id of a catalogue, by the option's name ("--machine" -> ids).
using KnownWords = std::map<std::string, std::vector<std::string>, std::less<>>;

// Of the whole program. known: also by "VERB SUBVERB POSITIONAL".
VerbFacts verb_tree(const CLI::App& app, const KnownWords& known);

// The one with that name. Throws Error::NotFound with near names.
const VerbFacts& find_verb(const VerbFacts& tree, std::string_view name);

}  // namespace tinderbox::cli
