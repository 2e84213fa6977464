// The page's files, from memory: each with an entity tag, so that a browser asks for unchanged ones
// in vain, compressed for those who accept it, and with headers that keep the page from loading
// anything from elsewhere.
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
  // A file "x.gz" beside a file "x" is x in gzip, for those who accept that; it has no address of its own.
  explicit StaticFiles(std::vector<StaticFile> files = {});
  // nullopt: there is no such file. "/x" is also "x.html". For GET requests.
  std::optional<HttpResponse> find(const HttpRequest& request) const;

 private:
  struct Entry {
    StaticFile file;
    std::string etag;
    std::string_view gzip;  // empty: none
  };
  const Entry* entry_of(std::string_view wanted) const;
  std::vector<Entry> entries_;
};

// Whether an Accept-Encoding header takes gzip (RFC 9110, 12.5.3).
bool accepts_gzip(std::string_view accept_encoding);

}  // namespace tinderbox
