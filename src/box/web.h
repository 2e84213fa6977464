// Fetches over HTTPS, by libcurl: proxies, certificates, redirections, HTTP/2. One thread.
//
// libcurl is loaded when the first of these is made, not linked: with it come some 30 libraries, and every start of the
// program would take 15 ms longer for what only `pull` needs. Stays inside web.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace tinderbox {

struct WebRequest {
  std::string url;
  std::string bearer;                // a token for this host; not sent on to others
  std::vector<std::string> headers;  // "name: value"
  std::int64_t from = 0;             // of the body; above 0: Range
  bool head = false, follow = true;
};

struct WebReply {
  int status = 0;
  std::string url;                             // of the last redirection
  std::map<std::string, std::string> headers;  // names in lower case; of the last answer

  std::string header(std::string_view name) const;
};

enum class WebEnd {
  Whole,
  Stopped,  // by begin, body or stop
  Broken,   // the connection, before the end: another try may help
  Failed,   // another try will not help: no such host, no trust in its certificate
};
struct WebResult {
  WebReply reply;
  WebEnd end = WebEnd::Whole;
  std::string trouble;  // of Broken and Failed
};

struct WebOptions {
  std::string agent;    // "tinderbox/0.1.0"
  std::string ca_file;  // certificates to trust; empty: the system's
  Seconds connect_timeout{20.0}, stall_timeout{30.0};
  std::function<bool()> stop;  // asked often
};

class Web {
 public:
  // Throws Error::Unsupported, with what to install, if there is no libcurl.
  explicit Web(WebOptions options);

  // begin: once, before the first piece of a body; body: each piece. Either may stop it by false.
  WebResult fetch(const WebRequest& request, const std::function<bool(const WebReply&)>& begin,
                  const std::function<bool(std::string_view)>& body);
  // A small document, whole. Throws Error::TooLarge over the limit.
  WebResult text(const WebRequest& request, std::string& out, std::size_t bytes_max);

 private:
  WebOptions options_;
};

}  // namespace tinderbox
