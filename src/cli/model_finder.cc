#include "cli/model_finder.h"

#include <cstdlib>

#include "embedded_pull.h"

namespace tinderbox::cli {

std::string environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

std::vector<PullEntry> pull_catalogue() {
  const auto file = embedded_pull::assets()[0];
  return read_pull_catalogue(file.body, "data/pull/" + std::string(file.path));
}

std::string find_model_file(const std::string& text) {
  return resolve_model(text, model_places(environment_variable), [](const std::string& name) -> std::string {
    const std::vector<PullEntry> catalogue = pull_catalogue();
    const PullEntry* entry = find_pull(catalogue, name);
    return entry == nullptr ? "" : entry->from;
  }).string();
}

}  // namespace tinderbox::cli
