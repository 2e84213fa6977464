// One file from an address, whole or not at all: goes on where it was broken off, tries again, checks its SHA-256 as it
// comes. What has come so far lies in PATH.incomplete, with PATH.incomplete.json beside it that says of what; both stay
// when the process ends, and the next download of the same goes on with them. The caller holds a lock for the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/sha256.h"
#include "base/units.h"
#include "box/web.h"

namespace tinderbox {

struct DownloadOptions {
  std::string url, bearer;
  std::filesystem::path path;  // in a folder that exists
  std::optional<Sha256> sha256;
  std::optional<std::int64_t> size;
};

struct DownloadHooks {
  std::function<void(std::int64_t done, std::int64_t total)> progress;  // total 0: unknown
  std::function<void(const std::string&)> note;                         // what went wrong, and that it goes on
  std::function<void(Seconds)> wait;
  std::function<bool()> stop;
  int tries = 5;  // in a row without a further byte
};

struct Downloaded {
  bool whole = false;  // false: hooks.stop() said so; what came is kept
  std::int64_t bytes = 0;
  Sha256 sha256{};
};

// Throws Error::NotFound or Invalid with what the server said, Error::Invalid if the contents are not what they should
// be (they are then removed) or the tries are used up, Error::TooLarge if the disk does not hold them.
Downloaded download(Web& web, const DownloadOptions& options, const DownloadHooks& hooks);

// What is known of a file that has come in part.
struct PartNote {
  std::string url, validator;  // validator: a strong ETag, or Last-Modified; empty: the server gives none
};
std::string to_json(const PartNote& note);
std::optional<PartNote> parse_part_note(std::string_view json);

// What to do with an answer to a request for the bytes from `have` on.
enum class Continuation { Append, Restart, Refused, Wrong };
// Refused: not with this status. Wrong: 206, but other bytes than those asked for.
Continuation continuation_of(const WebReply& reply, std::int64_t have);
// The first byte of "bytes 5-9/10", and the whole size; nullopt if it is none of these.
struct ContentRange {
  std::int64_t first = 0;
  std::optional<std::int64_t> size{};
};
std::optional<ContentRange> parse_content_range(std::string_view text);
// What If-Range may be asked with: a strong ETag, or else a date.
std::string validator_of(const WebReply& reply);
// A status that may be another one soon.
bool is_passing(int status);
// The wait before another try, from the first (0) on.
Seconds backoff(int n_tried, std::string_view retry_after);

// Throws Error::TooLarge with the numbers unless that many bytes fit on the disk of the folder.
void check_disk_space(const std::filesystem::path& folder, std::int64_t bytes);

}  // namespace tinderbox
