// Files of Hugging Face's hub: what is in a repository, and where a file's bytes are (huggingface.co/docs/hub/api).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/sha256.h"
#include "box/model_source.h"
#include "box/web.h"

namespace tinderbox {

struct HubAccess {
  std::string endpoint = "https://huggingface.co", token;  // token empty: none
};
struct HubFile {
  std::string file, commit, etag;  // commit: 40 digits; etag: names the contents in the cache
  std::string url;
  std::optional<std::int64_t> size{};
  std::optional<Sha256> sha256{};  // of files in large-file storage, as models are
};

// Throws Error::NotFound or Invalid with what to do: no such repository, a gated one, no such file; as
// choose_model_file does; Error::Busy if the hub does not answer.
HubFile find_hub_file(Web& web, const HubAccess& access, const HubModel& model);

// The names in the answer to /api/models/ORG/REPO/revision/REVISION. Throws Error::Invalid.
std::vector<std::string> parse_hub_files(std::string_view json, std::string_view where);
// The part of an etag that can name a file; "" if it cannot.
std::string clean_etag(std::string_view etag);

}  // namespace tinderbox
