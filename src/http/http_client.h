// Asks another HTTP server for a document: what `tinderbox top` and like verbs need, no more. HTTP/1.1 without TLS, one
// request a connection. Blocks the calling thread.
#pragma once

#include <string>
#include <string_view>

#include "base/units.h"

namespace tinderbox {

struct Url {
  std::string host, port = "80", path = "/";  // host without the brackets of IPv6
};
// http://HOST[:PORT][/PATH]. Throws Error::Invalid, with what to write instead.
Url parse_url(std::string_view text);

struct HttpReply {
  int status = 0;
  std::string body;
};
// key: sent as bearer token if not empty. Throws Error::NotFound if nothing answers there in time, or not in HTTP, or
// with more than 64 MiB.
HttpReply http_get(const Url& url, const std::string& key, Seconds timeout);

}  // namespace tinderbox
