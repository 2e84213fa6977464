#include "http/static_files.h"

#include <cstdint>

#include "base/text.h"

namespace tinderbox {

namespace {

// FNV-1a, 64 bit: names a version of a file, protects nothing.
std::uint64_t fnv1a(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::string content_type_of(std::string_view path) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
      {".md", "text/plain; charset=utf-8"},
      {".txt", "text/plain; charset=utf-8"}};
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return std::string(type);
  }
  return "application/octet-stream";
}

// A drawing carries its dark theme in a style element of its own.
std::string_view policy_of(std::string_view path) {
  return path.ends_with(".svg") ? "default-src 'self'; style-src 'unsafe-inline'"
                                : "default-src 'self'";
}

}  // namespace

bool accepts_gzip(std::string_view accept_encoding) {
  bool any = false;
  for (const std::string& part : split(accept_encoding, ',')) {
    const std::size_t semicolon = part.find(';');
    const std::string coding = lower(trim(std::string_view(part).substr(0, semicolon)));
    if (coding != "gzip" && coding != "*") continue;
    const std::string weight =
        semicolon == part.npos ? "" : lower(trim(std::string_view(part).substr(semicolon + 1)));
    // A weight of nothing but zeros refuses.
    const bool takes = !(weight.starts_with("q=0") && weight.find_first_of("123456789") == weight.npos);
    if (coding == "gzip") return takes;
    any = takes;
  }
  return any;
}

StaticFiles::StaticFiles(std::vector<StaticFile> files) {
  for (StaticFile& file : files) {
    if (file.path.ends_with(".gz")) continue;
    if (file.content_type.empty()) file.content_type = content_type_of(file.path);
    std::string_view gzip;
    for (const StaticFile& other : files) {
      if (other.path == file.path + ".gz") gzip = other.body;
    }
    std::string etag = format("{:016x}", fnv1a(file.body));
    entries_.push_back({std::move(file), std::move(etag), gzip});
  }
}

const StaticFiles::Entry* StaticFiles::entry_of(std::string_view wanted) const {
  for (const Entry& entry : entries_) {
    if (entry.file.path == wanted) return &entry;
  }
  return nullptr;
}

std::optional<HttpResponse> StaticFiles::find(const HttpRequest& request) const {
  if (!request.path.starts_with('/')) return std::nullopt;
  std::string_view wanted = std::string_view(request.path).substr(1);
  if (wanted.empty()) wanted = "index.html";
  const Entry* entry = entry_of(wanted);
  if (!entry) entry = entry_of(std::string(wanted) + ".html");
  if (!entry) return std::nullopt;
  const bool gzip = !entry->gzip.empty() && accepts_gzip(request.header("accept-encoding"));
  // Each encoding is a representation of its own and has a tag of its own.
  const std::string etag = format("\"{}{}\"", entry->etag, gzip ? "-gzip" : "");
  HttpResponse response;
  response.content_type = entry->file.content_type;
  response.headers = {{"etag", etag},
                      {"cache-control", "no-cache"},
                      {"content-security-policy", std::string(policy_of(entry->file.path))},
                      {"x-content-type-options", "nosniff"}};
  if (!entry->gzip.empty()) response.headers.push_back({"vary", "Accept-Encoding"});
  if (request.header("if-none-match") == etag) {
    response.status = 304;
    return response;
  }
  if (gzip) response.headers.push_back({"content-encoding", "gzip"});
  response.body = gzip ? entry->gzip : entry->file.body;
  return response;
}

}  // namespace tinderbox
