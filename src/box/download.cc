#include "box/download.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "box/model_source.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kDiskReserve = 64 * 1024 * 1024;
constexpr std::size_t kReadBytes = 1 << 20;
constexpr double kBackoffFirst = 0.5, kBackoffMax = 30;  // seconds
constexpr std::size_t kNoteBytesMax = 16 * 1024;

// The part that has come: written with write(2), so that a kill loses nothing that was taken from the socket.
class Part {
 public:
  explicit Part(fs::path path)
      : path_(std::move(path)), fd_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (fd_ < 0) throw_invalid(format("{}: cannot write there ({})", path_.string(), std::strerror(errno)));
    read_what_is_there();
  }
  ~Part() { ::close(fd_); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  void append(std::string_view bytes) {
    hash_.add(bytes);
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw_too_large(format("{}: cannot write ({})", path_.string(), std::strerror(errno)));
      bytes.remove_prefix(static_cast<std::size_t>(n));
      size_ += n;
    }
  }
  void restart() {
    if (::ftruncate(fd_, 0) != 0) throw_invalid(format("{}: cannot be emptied", path_.string()));
    ::lseek(fd_, 0, SEEK_SET);
    size_ = 0;
    hash_.restart();
  }
  void sync() { ::fdatasync(fd_); }
  std::int64_t size() const { return size_; }
  Sha256 sha256() const { return hash_.digest(); }

 private:
  void read_what_is_there() {
    std::string piece(kReadBytes, '\0');
    for (ssize_t n = 0; (n = ::read(fd_, piece.data(), piece.size())) > 0; size_ += n) {
      hash_.add({piece.data(), static_cast<std::size_t>(n)});
    }
  }
  fs::path path_;
  int fd_;
  std::int64_t size_ = 0;
  Sha256Stream hash_;
};

fs::path with(const fs::path& path, const char* end) { return path.string() + end; }

void write_note(const fs::path& path, const PartNote& note) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << to_json(note);
}

std::optional<PartNote> read_note(const fs::path& path) {
  std::error_code ec;
  const auto size = fs::file_size(path, ec);
  if (ec || size > kNoteBytesMax) return std::nullopt;
  return parse_part_note(read_file(path.string()));
}

[[noreturn]] void refuse(const DownloadOptions& options, const WebReply& reply) {
  const std::string where = shown_url(options.url);
  if (reply.status == 404 || reply.status == 410) throw_not_found(format("{}: not there ({})", where, reply.status));
  if (reply.status == 401 || reply.status == 403) {
    throw_invalid(format("{}: not without leave ({}); give --token", where, reply.status));
  }
  throw_invalid(format("{}: the server answers {}", where, reply.status));
}

// One download in its tries.
class Run {
 public:
  Run(Web& web, const DownloadOptions& options, const DownloadHooks& hooks)
      : web_(web), o_(options), hooks_(hooks), part_(with(options.path, ".incomplete")) {
    const auto note = read_note(with(o_.path, ".incomplete.json"));
    if (note) note_ = *note;
    // Without a way to tell whether the rest belongs to it, a part is of no use.
    const bool known = note && (!note->validator.empty() ? note->url == o_.url || o_.sha256.has_value() : !!o_.sha256);
    if (part_.size() > 0 && !known) part_.restart();
    total_ = o_.size.value_or(0);
  }

  Downloaded go() {
    if (o_.size) check_disk_space(o_.path.parent_path(), *o_.size - part_.size());
    for (int n_tried = 0;;) {
      if (o_.size && part_.size() == *o_.size) break;
      if (o_.size && part_.size() > *o_.size) part_.restart();
      const std::int64_t before = part_.size();
      const WebResult result = once();
      if (hooks_.stop && hooks_.stop()) return {.whole = false, .bytes = part_.size(), .sha256 = {}};
      if (whole(result)) break;
      if (part_.size() > before) n_tried = 0;
      try_again(result, n_tried++);
    }
    return finish();
  }

 private:
  WebResult once() {
    std::vector<std::string> headers;
    if (part_.size() > 0 && !note_.validator.empty()) headers.push_back("If-Range: " + note_.validator);
    return web_.fetch({.url = o_.url, .bearer = o_.bearer, .headers = headers, .from = part_.size()},
                      [this](const WebReply& reply) { return begin(reply); },
                      [this](std::string_view piece) {
                        part_.append(piece);
                        if (hooks_.progress) hooks_.progress(part_.size(), total_);
                        return true;
                      });
  }

  bool begin(const WebReply& reply) {
    const Continuation how = continuation_of(reply, part_.size());
    if (how == Continuation::Refused || how == Continuation::Wrong) return false;
    if (how == Continuation::Restart) part_.restart();
    note_ = {.url = o_.url, .validator = validator_of(reply)};
    write_note(with(o_.path, ".incomplete.json"), note_);
    std::optional<std::int64_t> left;
    if (reply.header("content-encoding").empty()) left = parse_int(reply.header("content-length"));
    if (left) {
      const std::int64_t says = part_.size() + *left;
      if (o_.size && says != *o_.size) {
        throw_invalid(format("{}: {} bytes there, expected {}", shown_url(o_.url), says, *o_.size));
      }
      total_ = says;
      check_disk_space(o_.path.parent_path(), *left);
    }
    return true;
  }

  bool whole(const WebResult& result) {
    if (result.end != WebEnd::Whole || result.reply.status >= 300) return false;
    return total_ == 0 || part_.size() == total_;
  }

  // Waits, or throws if that is of no use.
  void try_again(const WebResult& result, int n_tried) {
    const int status = result.reply.status;
    std::string trouble = result.trouble;
    if (result.end == WebEnd::Stopped || result.end == WebEnd::Whole) {
      if (status == 416 || status == 206) {  // what is here is not what is there
        part_.restart();
        trouble = "the file there has changed; from its beginning again";
      } else if (status >= 300 && !is_passing(status)) {
        refuse(o_, result.reply);
      } else {
        trouble = status >= 300 ? format("the server answers {}", status) : "the connection ended early";
      }
    }
    if (result.end == WebEnd::Failed || n_tried + 1 >= hooks_.tries) {
      throw_invalid(format("{}: {}, after {} of {}; the same command goes on from there", shown_url(o_.url), trouble,
                           human(Bytes(static_cast<double>(part_.size()))),
                           total_ > 0 ? human(Bytes(static_cast<double>(total_))) : std::string("an unknown size")));
    }
    const Seconds pause = backoff(n_tried, result.reply.header("retry-after"));
    if (hooks_.note) {
      hooks_.note(format("{}: {}; goes on from {} in {}", shown_url(o_.url), trouble,
                         human(Bytes(static_cast<double>(part_.size()))), human(pause)));
    }
    if (hooks_.wait) hooks_.wait(pause);
  }

  Downloaded finish() {
    const Sha256 sum = part_.sha256();
    if (o_.sha256 && sum != *o_.sha256) {
      discard();
      throw_invalid(format("{}: has SHA-256 {}, expected {}; removed", shown_url(o_.url), hex(sum), hex(*o_.sha256)));
    }
    part_.sync();
    fs::rename(with(o_.path, ".incomplete"), o_.path);
    std::error_code ignored;
    fs::remove(with(o_.path, ".incomplete.json"), ignored);
    return {.whole = true, .bytes = part_.size(), .sha256 = sum};
  }

  void discard() {
    std::error_code ignored;
    fs::remove(with(o_.path, ".incomplete"), ignored);
    fs::remove(with(o_.path, ".incomplete.json"), ignored);
  }

  Web& web_;
  const DownloadOptions& o_;
  const DownloadHooks& hooks_;
  Part part_;
  PartNote note_;
  std::int64_t total_ = 0;
};

}  // namespace

Downloaded download(Web& web, const DownloadOptions& options, const DownloadHooks& hooks) {
  return Run(web, options, hooks).go();
}

std::string to_json(const PartNote& note) {
  return nlohmann::json{{"url", to_valid_utf8(note.url)}, {"validator", to_valid_utf8(note.validator)}}.dump();
}

std::optional<PartNote> parse_part_note(std::string_view json) {
  const auto document = nlohmann::json::parse(json, nullptr, false);
  if (!document.is_object()) return std::nullopt;
  const auto text = [&document](const char* key) -> std::optional<std::string> {
    const auto it = document.find(key);
    if (it == document.end() || !it->is_string()) return std::nullopt;
    std::string value = it->get<std::string>();
    // It goes into a header.
    if (std::ranges::any_of(value, [](char c) { return static_cast<unsigned char>(c) < ' '; })) return std::nullopt;
    return value;
  };
  const auto url = text("url"), validator = text("validator");
  if (!url || !validator) return std::nullopt;
  return PartNote{.url = *url, .validator = *validator};
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const std::size_t dash = text.find('-'), slash = text.find('/');
  if (dash == text.npos || slash == text.npos || dash > slash) return std::nullopt;
  const auto first = parse_int(text.substr(0, dash)), last = parse_int(text.substr(dash + 1, slash - dash - 1));
  if (!first || !last || *first < 0 || *last < *first) return std::nullopt;
  ContentRange range{.first = *first};
  if (text.substr(slash + 1) != "*") {
    range.size = parse_int(text.substr(slash + 1));
    if (!range.size || *range.size <= *last) return std::nullopt;
  }
  return range;
}

Continuation continuation_of(const WebReply& reply, std::int64_t have) {
  if (reply.status == 206) {
    const auto range = parse_content_range(reply.header("content-range"));
    return have > 0 && range && range->first == have ? Continuation::Append : Continuation::Wrong;
  }
  if (reply.status == 200) return Continuation::Restart;
  return Continuation::Refused;
}

std::string validator_of(const WebReply& reply) {
  const std::string tag = reply.header("etag");
  if (tag.size() >= 2 && tag.size() < 1024 && tag.front() == '"' && tag.back() == '"') return tag;
  return reply.header("last-modified");
}

bool is_passing(int status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

Seconds backoff(int n_tried, std::string_view retry_after) {
  if (const auto seconds = parse_int(retry_after); seconds && *seconds >= 0) {
    return Seconds(std::min(static_cast<double>(*seconds), 2 * kBackoffMax));
  }
  return Seconds(std::min(kBackoffFirst * static_cast<double>(1 << std::min(n_tried, 10)), kBackoffMax));
}

void check_disk_space(const fs::path& folder, std::int64_t bytes) {
  struct statvfs disk {};
  if (bytes <= 0 || ::statvfs(folder.c_str(), &disk) != 0) return;
  const auto free = static_cast<std::int64_t>(disk.f_bavail) * static_cast<std::int64_t>(disk.f_frsize);
  if (bytes + kDiskReserve <= free) return;
  throw_too_large(format("{}: {} are free there, and {} more are needed; make room or choose another disk with --store "
                         "(or HF_HOME)",
                         folder.string(), human(Bytes(static_cast<double>(free))),
                         human(Bytes(static_cast<double>(bytes + kDiskReserve - free)))));
}

}  // namespace tinderbox
