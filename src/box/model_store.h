// Where models lie on this computer: Tinderbox's own store, and the cache that Hugging Face's clients share
// (models--ORG--REPO/{refs,blobs,snapshots}, https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "box/model_source.h"

namespace tinderbox {

// The environment, as a parameter.
using Variables = std::function<std::string(const std::string& name)>;  // "": not set

struct ModelPlaces {
  std::filesystem::path store;              // new models go here; empty: no home
  std::vector<std::filesystem::path> also;  // found here, too: a service's state
  std::filesystem::path hub;                // Hugging Face's cache; empty: no home
  bool offline = false;                     // HF_HUB_OFFLINE
};
ModelPlaces model_places(const Variables& variables);

// HUB/models--ORG--REPO
std::filesystem::path hub_folder(const ModelPlaces& places, const std::string& repo);
// The file of that repository in the cache, whole, in the snapshot that its revision names; nullopt: not there.
// Throws as choose_model_file does if what is there is not what was asked.
std::optional<std::filesystem::path> cached_model(const ModelPlaces& places, const HubModel& model);
// A whole commit's digits, as revisions may be.
bool is_commit(std::string_view revision);

// What run, serve and bench take for a file: a path that exists; a name in the store, with .gguf or without; a
// repository in Hugging Face's cache. from_catalogue: where the catalogue has a model from; "" if it has none of that
// name. Throws Error::NotFound, with how to get it.
std::filesystem::path resolve_model(const std::string& text, const ModelPlaces& places,
                                    const std::function<std::string(const std::string& name)>& from_catalogue);

// The file that a source's model has in the store; of Hugging Face's none.
std::string store_name(const ModelSource& source);

}  // namespace tinderbox
