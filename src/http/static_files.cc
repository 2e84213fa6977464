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

StaticFiles::StaticFiles(std::vector<StaticFile> files) {
  for (StaticFile& file : files) {
    if (file.content_type.empty()) file.content_type = content_type_of(file.path);
    std::string etag = format("\"{:016x}\"", fnv1a(file.body));
    entries_.push_back({std::move(file), std::move(etag)});
  }
}

std::optional<HttpResponse> StaticFiles::find(const HttpRequest& request) const {
  if (!request.path.starts_with('/')) return std::nullopt;
  std::string_view wanted = std::string_view(request.path).substr(1);
  if (wanted.empty()) wanted = "index.html";
  for (const Entry& entry : entries_) {
    if (entry.file.path != wanted) continue;
    HttpResponse response;
    response.content_type = entry.file.content_type;
    response.headers = {{"etag", entry.etag},
                        {"cache-control", "no-cache"},
                        {"content-security-policy", std::string(policy_of(wanted))},
                        {"x-content-type-options", "nosniff"}};
    if (request.header("if-none-match") == entry.etag) {
      response.status = 304;
    } else {
      response.body = entry.file.body;
    }
    return response;
  }
  return std::nullopt;
}

}  // namespace tinderbox
