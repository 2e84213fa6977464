// Pages of other origins (Fetch standard, CORS protocol): whose they are, and what a server lets them do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/http.h"

namespace tinderbox {

enum class Origin {
  None,     // not from a page, or a browser that does not say so
  Own,      // the server's own page
  Allowed,  // another one that is let in
  Foreign,
};

// own_hosts: names of the server beside the Host that was asked for.
Origin origin_of(const HttpRequest& request, const std::vector<std::string>& allowed,
                 const std::vector<std::string>& own_hosts);
bool is_preflight(const HttpRequest& request);
// What a browser needs to hear to hand the response to an allowed page.
void add_cors(const HttpRequest& request, Origin origin, const std::vector<std::string>& allowed,
              std::vector<HttpHeader>& headers);
// The answer to a preflight of an allowed page; add_cors comes on top.
HttpResponse preflight_answer(const HttpRequest& request);

}  // namespace tinderbox
