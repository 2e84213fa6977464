// The verbs that tell the command line itself: manual pages and completions.
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/text.h"
#include "cli/app_arguments.h"
#include "cli/completion.h"
#include "cli/man_page.h"
#include "cli/output.h"

namespace tinderbox::cli {
namespace {

KnownWords words_of(const Context& context) {
  KnownWords known;
  for (const auto& [kind, catalogue] : {std::pair{"machines", &context.machines}, std::pair{"models", &context.models},
                                        std::pair{"stacks", &context.stacks}}) {
    known[format("{} show id", kind)] = catalogue->ids();
  }
  for (const char* option : {"--machine", "--machines", "--as", "--decode-machine"}) {
    known[option] = context.machines.ids();
  }
  for (const char* option : {"--model", "--weightless"}) known[option] = context.models.ids();
  known["--stack"] = context.stacks.ids();
  known["calibrate --only"] = context.stacks.ids();
  return known;
}

void write_page(const std::filesystem::path& folder, const std::string& name, const std::string& text) {
  const std::filesystem::path path = folder / (name + ".1");
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) throw_invalid(format("{}: cannot write the page", path.string()));
}

int print_completion(const VerbFacts& tree, const std::string& shell) {
  print(shell == "bash" ? bash_completion(tree) : shell == "zsh" ? zsh_completion(tree) : fish_completion(tree));
  return 0;
}

int print_man(const VerbFacts& tree, const PagesOptions& options) {
  if (options.folder.empty()) {
    print(options.verb.empty() ? man_page(tree, TINDERBOX_VERSION)
                               : man_page_of(tree, find_verb(tree, options.verb), TINDERBOX_VERSION));
    return 0;
  }
  write_page(options.folder, "tinderbox", man_page(tree, TINDERBOX_VERSION));
  for (const VerbFacts& verb : tree.verbs) {
    write_page(options.folder, "tinderbox-" + verb.name, man_page_of(tree, verb, TINDERBOX_VERSION));
  }
  return 0;
}

}  // namespace

void add_pages(CLI::App& app, Arguments& a, const Context& context) {
  auto* completion = app.add_subcommand("completion", "Prints what makes a shell complete this program's command line");
  completion->add_option("shell", a.pages.shell, "The shell")
      ->required()
      ->check(CLI::IsMember(std::vector<std::string>{"bash", "zsh", "fish"}));
  completion->footer(
      "In ~/.bashrc:                   source <(tinderbox completion bash)\n"
      "In a folder of zsh's $fpath:     tinderbox completion zsh > _tinderbox\n"
      "In ~/.config/fish/completions:   tinderbox completion fish > tinderbox.fish\n"
      "The Debian package brings all three.");
  completion->callback([&] {
    a.action = [&] { return print_completion(verb_tree(app, words_of(context)), a.pages.shell); };
  });
  // Hidden: for the package.
  auto* man = app.add_subcommand("man", "Prints a manual page")->group("");
  man->add_option("verb", a.pages.verb, "Of this verb");
  man->add_option("--out", a.pages.folder, "Write all pages into this folder");
  man->callback([&] { a.action = [&] { return print_man(verb_tree(app, words_of(context)), a.pages); }; });
}

}  // namespace tinderbox::cli
