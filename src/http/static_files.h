// The page's files, from memory: each with an entity tag, so that a browser asks for unchanged ones
// in vain, and with headers that keep the page from loading anything from elsewhere.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/http.h"

namespace tinderbox {

struct StaticFile {
  std::string path;       // "index.html", "app.js"; served at "/" + path, index.html at "/" as well
  std::string_view body;  // must outlive the server
  std::string content_type;  // empty: by the file name's ending
};

class StaticFiles {
 public:
  explicit StaticFiles(std::vector<StaticFile> files = {});
  // nullopt: there is no such file. For GET requests.
  std::optional<HttpResponse> find(const HttpRequest& request) const;

 private:
  struct Entry {
    StaticFile file;
    std::string etag;
  };
  std::vector<Entry> entries_;
};

}  // namespace tinderbox
