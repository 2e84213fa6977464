#include <ctime>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "box/probe.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "machine/machine.h"

namespace tinderbox::cli {

namespace {

std::string today() {
  const auto seconds = static_cast<std::time_t>(now_unix());
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

}  // namespace

int cmd_probe(const ProbeOptionsCli& options) {
  namespace fs = std::filesystem;
  const fs::path out = options.out;
  const fs::path folder = out.has_parent_path() ? out.parent_path() : fs::path(".");
  if (!fs::is_directory(folder)) {
    throw_not_found(format("--out {}: no folder {}; make it first", options.out, folder.string()));
  }
  if (options.id.empty() || options.id.find_first_of("/\\\" ") != std::string::npos) {
    throw_invalid(format("--id '{}': expected a name without blanks, quotes or slashes", options.id));
  }
  const WallClock clock;
  const Probe probe =
      probe_computer({.seconds = options.seconds, .n_threads = options.threads, .folder = folder}, clock,
                     [](const std::string& what) { log(format("probe: measuring {}", what)); });
  const std::string toml = machine_toml(probe, options.id, today());
  parse_machine(toml, options.id);  // what cannot be read back is not written
  if (!options.out.empty()) {
    std::ofstream file(out, std::ios::binary);
    file << toml;
    if (!file.flush()) throw_invalid(format("--out {}: cannot write; check the folder and its rights", options.out));
    log(format("probe: wrote {}", options.out));
  }
  if (options.json) {
    print(probe_json(probe) + "\n");
  } else if (options.out.empty()) {
    print(toml);
  }
  return 0;
}

}  // namespace tinderbox::cli
