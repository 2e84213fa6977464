#include "cli/state_folder.h"

#include <cstdlib>
#include <string_view>

namespace tinderbox::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

std::string state_folder(const std::string& asked) {
  if (asked == "none") return "";
  if (!asked.empty()) return asked;
  // systemd names each StateDirectory= of a unit, with colons between them.
  const std::string_view unit = environment("STATE_DIRECTORY");
  if (unit.starts_with('/')) return std::string(unit.substr(0, unit.find(':')));
  const std::string_view xdg = environment("XDG_STATE_HOME");
  if (xdg.starts_with('/')) return std::string(xdg) + "/tinderbox";  // a relative one is to be ignored
  const std::string_view home = environment("HOME");
  return home.starts_with('/') ? std::string(home) + "/.local/state/tinderbox" : "";
}

}  // namespace tinderbox::cli
