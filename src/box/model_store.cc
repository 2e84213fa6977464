#include "box/model_store.h"

#include <algorithm>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;

// A folder by its variable; a relative one is to be ignored.
fs::path folder(const Variables& variables, const char* name, const fs::path& otherwise) {
  const std::string text = variables(name);
  if (text.starts_with('/')) return text;
  return otherwise;
}

fs::path home_folder(const Variables& variables, const char* below) {
  const std::string home = variables("HOME");
  return home.starts_with('/') ? fs::path(home) / below : fs::path();
}

fs::path below(const fs::path& folder, const char* name) { return folder.empty() ? fs::path() : folder / name; }

bool is_on(const std::string& text) {
  const std::string word = lower(text);
  return word == "1" || word == "true" || word == "yes" || word == "on";
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);  // follows links
}

// Every file of a snapshot, as paths in the repository.
std::vector<std::string> files_below(const fs::path& snapshot) {
  std::vector<std::string> files;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(snapshot, ec), end; !ec && it != end; it.increment(ec)) {
    if (is_file(it->path())) files.push_back(it->path().lexically_relative(snapshot).generic_string());
  }
  std::ranges::sort(files);
  return files;
}

std::optional<fs::path> in_store(const ModelPlaces& places, const std::string& name) {
  std::vector<fs::path> folders = places.also;
  folders.insert(folders.begin(), places.store);
  for (const fs::path& where : folders) {
    for (const std::string& file : {name, name + ".gguf"}) {
      if (!where.empty() && is_file(where / file)) return where / file;
    }
  }
  return std::nullopt;
}

}  // namespace

ModelPlaces model_places(const Variables& variables) {
  ModelPlaces places;
  const fs::path data = folder(variables, "XDG_DATA_HOME", home_folder(variables, ".local/share"));
  places.store = below(data, "tinderbox/models");
  // A service of systemd has no home: its state is what it has.
  const std::string unit = variables("STATE_DIRECTORY");
  if (unit.starts_with('/')) places.also.push_back(fs::path(unit.substr(0, unit.find(':'))) / "models");
  const fs::path cache = folder(variables, "XDG_CACHE_HOME", home_folder(variables, ".cache"));
  const fs::path hub_home = folder(variables, "HF_HOME", below(cache, "huggingface"));
  places.hub = folder(variables, "HF_HUB_CACHE", below(hub_home, "hub"));
  places.offline = is_on(variables("HF_HUB_OFFLINE"));
  return places;
}

fs::path hub_folder(const ModelPlaces& places, const std::string& repo) {
  std::string name = "models--";
  for (const char c : repo) name += c == '/' ? std::string("--") : std::string(1, c);
  return places.hub / name;
}

bool is_commit(std::string_view revision) {
  return revision.size() == 40 && std::ranges::all_of(revision, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<fs::path> cached_model(const ModelPlaces& places, const HubModel& model) {
  if (places.hub.empty()) return std::nullopt;
  const fs::path repo = hub_folder(places, model.repo);
  std::string commit = model.revision;
  if (!is_commit(commit)) {
    const fs::path ref = repo / "refs" / model.revision;
    if (!is_file(ref)) return std::nullopt;
    commit = trim(read_file(ref.string()));
    if (!is_commit(commit)) return std::nullopt;
  }
  const fs::path snapshot = repo / "snapshots" / commit;
  const std::vector<std::string> files = files_below(snapshot);
  const bool any = std::ranges::any_of(files, [](const std::string& f) { return lower(f).ends_with(".gguf"); });
  if (!any) return std::nullopt;
  return snapshot / choose_model_file(model, files);
}

std::string store_name(const ModelSource& source) {
  if (const auto* web = std::get_if<WebModel>(&source)) return file_name_of(web->url);
  if (const auto* file = std::get_if<ModelFile>(&source)) return fs::path(file->path).filename().string();
  if (const auto* packaged = std::get_if<PackagedModel>(&source)) {
    return fs::path(packaged->member).filename().string();
  }
  return "";
}

fs::path resolve_model(const std::string& text, const ModelPlaces& places,
                       const std::function<std::string(const std::string& name)>& from_catalogue) {
  std::error_code ignored;
  if (fs::exists(text, ignored)) return text;  // also a folder: who opens it says what it is
  const ModelSource source = parse_model_source(text);
  if (const auto* hub = std::get_if<HubModel>(&source)) {
    if (auto found = cached_model(places, *hub)) return *found;
    throw_not_found(
        format("{}: neither a file nor in Hugging Face's cache; `tinderbox pull {}` fetches it", text, text));
  }
  if (const auto* named = std::get_if<NamedModel>(&source)) {
    if (auto found = in_store(places, named->name)) return *found;
    if (const std::string from = from_catalogue(named->name); !from.empty()) {
      const ModelSource origin = parse_model_source(from);
      if (const auto* hub = std::get_if<HubModel>(&origin)) {
        if (auto found = cached_model(places, *hub)) return *found;
      } else if (auto found = in_store(places, store_name(origin))) {
        return *found;
      }
      throw_not_found(format("{}: not on this computer yet; `tinderbox pull {}` fetches it", text, text));
    }
    throw_not_found(
        format("{}: no such file, and no model of that name here; `tinderbox pull --list` names some", text));
  }
  if (std::holds_alternative<WebModel>(source) || std::holds_alternative<PackagedModel>(source)) {
    const std::string name = store_name(source);
    if (auto found = name.empty() ? std::nullopt : in_store(places, name)) return *found;
    throw_not_found(format("{}: not on this computer yet; `tinderbox pull` fetches it", shown_url(text)));
  }
  if (auto found = in_store(places, text)) return *found;  // "model.gguf", in the store
  return text;                                             // who opens it says that it is not there
}

}  // namespace tinderbox
