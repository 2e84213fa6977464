#include "cli/completion.h"

#include <functional>

#include "base/text.h"

namespace tinderbox::cli {
namespace {

// Inside '...' of the three shells; bash and zsh know no escape in there, fish takes the same way out.
std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c == '\n' ? ' ' : c;
    }
  }
  return out + "'";
}

std::string joined(const std::vector<std::string>& words) { return format("{}", fmt::join(words, " ")); }

// Every verb with its path: "", "keys", "keys add".
void each_verb(const VerbFacts& verb, const std::string& path,
               const std::function<void(const VerbFacts&, const std::string&)>& visit) {
  visit(verb, path);
  for (const VerbFacts& below : verb.verbs) {
    each_verb(below, path.empty() ? below.name : path + " " + below.name, visit);
  }
}

std::string verb_words(const VerbFacts& verb) {
  std::string out;
  for (const VerbFacts& below : verb.verbs) out += (out.empty() ? "" : " ") + below.name;
  return out;
}

// A line of case: which verbs there are below which.
std::string known_paths(const VerbFacts& tree) {
  std::string out;
  each_verb(tree, "", [&out](const VerbFacts&, const std::string& path) {
    if (!path.empty()) out += format("{}{}", out.empty() ? "" : "|", in_quotes(path));
  });
  return out;
}

bool takes_files(const OptionFacts& o) { return o.value == "TEXT" && o.words.empty(); }

std::string bash_value(const OptionFacts& o) {
  if (!o.words.empty()) return format("_tinderbox_words {} {}", o.separator == 0 ? "''" : ",",
                                      in_quotes(joined(o.words)));
  return takes_files(o) ? "_tinderbox_files" : ":";
}

constexpr auto kBashHead = R"(# bash completion for tinderbox, made by `tinderbox completion bash`.
# _tinderbox_words SEPARATOR WORDS: those that begin as the word at hand does, behind what it lists already.
_tinderbox_words() {
  local head=''
  if [[ -n $1 && $cur == *"$1"* ]]; then head=${cur%"$1"*}$1; fi
  COMPREPLY=($(compgen -P "$head" -W "$2" -- "${cur#"$head"}"))
}
_tinderbox_files() {
  local IFS=$'\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -- "$cur"))
}
_tinderbox() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path='' i
  COMPREPLY=()
  # --option=value comes as three words.
  if [[ $cur == = ]]; then cur=''
  elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${path:+$path }${COMP_WORDS[i]}" in
)";

}  // namespace

std::string bash_completion(const VerbFacts& tree) {
  std::string values, verbs;
  each_verb(tree, "", [&](const VerbFacts& verb, const std::string& path) {
    std::string names, options;
    for (const OptionFacts& o : verb.options) {
      std::string patterns;
      for (const std::string& name : o.names) {
        names += (names.empty() ? "" : " ") + name;
        patterns += format("{}{}", patterns.empty() ? "" : "|", in_quotes(path + ":" + name));
      }
      if (!o.flag()) values += format("    {}) {}; return ;;\n", patterns, bash_value(o));
    }
    std::string rest = ":";
    if (!verb.verbs.empty()) {
      rest = format("_tinderbox_words '' {}", in_quotes(verb_words(verb)));
    } else if (!verb.positionals.empty()) {
      rest = bash_value(verb.positionals.front());
    }
    verbs += format("    {}) if [[ $cur == -* ]]; then _tinderbox_words '' {}; else {}; fi ;;\n", in_quotes(path),
                    in_quotes(names), rest);
  });
  return format("{}      {}) path=${{path:+$path }}${{COMP_WORDS[i]}} ;;\n    esac\n  done\n  case \"$path:$prev\" in\n"
                "{}  esac\n  case $path in\n{}  esac\n}}\ncomplete -F _tinderbox tinderbox\n",
                kBashHead, known_paths(tree), values, verbs);
}

namespace {

// What zsh's _arguments takes in [...] and behind colons.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string zsh_value(const OptionFacts& o) {
  const std::string what = zsh_text(lower(o.value));
  if (!o.words.empty()) {
    const std::string words = joined(o.words);
    return o.separator == 0 ? format(":{}:({})", what, words)
                            : format(":{}:_values -s {} {} {}", what, o.separator, what, words);
  }
  return takes_files(o) ? format(":{}:_files", what) : format(":{}: ", what);
}

std::string zsh_options(const VerbFacts& verb) {
  std::string out;
  for (const OptionFacts& o : verb.options) {
    for (const std::string& name : o.names) {
      const std::string spec = format("{}{}[{}]{}", o.several ? "*" : "", name, zsh_text(o.about),
                                      o.flag() ? "" : zsh_value(o));
      out += format(" \\\n        {}", in_quotes(spec));
    }
  }
  return out;
}

std::string zsh_positionals(const VerbFacts& verb) {
  std::string out;
  for (const OptionFacts& o : verb.positionals) {
    out += format(" \\\n        {}", in_quotes((o.several ? "*" : "") + zsh_value(o)));
  }
  return out;
}

// A function a verb; one with verbs below hands over to theirs.
void zsh_functions(const VerbFacts& verb, const std::string& function, std::string& out) {
  for (const VerbFacts& below : verb.verbs) zsh_functions(below, function + "_" + below.name, out);
  if (verb.verbs.empty()) {
    out += format("{}() {{\n  _arguments -s{}{}\n}}\n", function, zsh_options(verb), zsh_positionals(verb));
    return;
  }
  std::string list, cases;
  for (const VerbFacts& below : verb.verbs) {
    list += format("    {}\n", in_quotes(zsh_text(below.name) + ":" + below.about));
    cases += format("      {}) {}_{} ;;\n", below.name, function, below.name);
  }
  out += format("{}() {{\n  local curcontext=$curcontext state line\n  local -a verbs=(\n{}  )\n"
                "  _arguments -C -s{} \\\n        '1: :->verb' '*:: :->rest'\n  case $state in\n"
                "    verb) _describe verb verbs ;;\n    rest) case $line[1] in\n{}    esac ;;\n  esac\n}}\n",
                function, list, zsh_options(verb), cases);
}

}  // namespace

std::string zsh_completion(const VerbFacts& tree) {
  std::string functions;
  zsh_functions(tree, "_tinderbox", functions);
  return format("#compdef tinderbox\n# zsh completion for tinderbox, made by `tinderbox completion zsh`.\n{}"
                "if [[ $funcstack[1] == _tinderbox ]]; then _tinderbox \"$@\"; else compdef _tinderbox tinderbox; fi\n",
                functions);
}

std::string fish_completion(const VerbFacts& tree) {
  std::string out = format(
      "# fish completion for tinderbox, made by `tinderbox completion fish`.\n"
      "function __tinderbox_at --description 'whether the verbs typed so far are these'\n"
      "  set -l path ''\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    switch (string trim -- \"$path $word\")\n"
      "      case {}\n"
      "        set path (string trim -- \"$path $word\")\n"
      "    end\n"
      "  end\n"
      "  test \"$path\" = \"$argv[1]\"\n"
      "end\n"
      "complete -c tinderbox -f\n",
      [&tree] {
        std::string paths;
        each_verb(tree, "", [&paths](const VerbFacts&, const std::string& path) {
          if (!path.empty()) paths += format("{}{}", paths.empty() ? "" : " ", in_quotes(path));
        });
        return paths;
      }());
  each_verb(tree, "", [&out](const VerbFacts& verb, const std::string& path) {
    const std::string at = format("complete -c tinderbox -n {}", in_quotes(format("__tinderbox_at '{}'", path)));
    for (const VerbFacts& below : verb.verbs) out += format("{} -a {} -d {}\n", at, below.name, in_quotes(below.about));
    const auto value_of = [](const OptionFacts& o) -> std::string {
      if (!o.words.empty()) return format(" -x -a {}", in_quotes(joined(o.words)));
      return takes_files(o) ? " -r -F" : " -x";
    };
    for (const OptionFacts& o : verb.options) {
      std::string names;
      for (const std::string& name : o.names) {
        names += name.starts_with("--") ? format(" -l {}", name.substr(2)) : format(" -s {}", name.substr(1));
      }
      out += format("{}{}{} -d {}\n", at, names, o.flag() ? "" : value_of(o), in_quotes(o.about));
    }
    if (verb.verbs.empty() && !verb.positionals.empty()) {
      const OptionFacts& first = verb.positionals.front();
      out += at + (first.words.empty() ? " -F" : format(" -a {}", in_quotes(joined(first.words)))) + "\n";
    }
  });
  return out;
}

}  // namespace tinderbox::cli
