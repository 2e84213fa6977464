// HTTP as plain values, without sockets: what a handler is given and what it answers. A response
// whose bytes come later (an answer that is still being generated) carries a ResponseStream, which
// is polled.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

struct HttpHeader {
  std::string name, value;
};

struct HttpRequest {
  std::string method = "GET";
  std::string path;                 // percent-decoded, without the query
  std::string query;                // after '?', as sent
  std::vector<HttpHeader> headers;  // names in lower case
  std::string body;
  std::string request_id = {}, trace_id = {};  // for logs; empty: none

  // The value of a header, "" if there is none. name in lower case.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse;

// What an answer took, as far as it has come: for logs and for the books.
struct Tally {
  std::string model = {};  // empty: none was asked
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
};

// A response in the making. Used by one thread; destroying it before Finished cancels the work
// behind it.
class ResponseStream {
 public:
  enum class State {
    Waiting,   // nothing is known yet, not even the status
    Open,      // status and headers are final, the body is still growing
    Finished,  // the body is complete
  };
  virtual ~ResponseStream() = default;
  // Takes in what has happened since the last call: sets status, content type and headers of
  // `response` when it leaves Waiting, and appends the body bytes that are there now. Never blocks.
  virtual State poll(HttpResponse& response) = 0;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<HttpHeader> headers;
  std::string body;
  std::unique_ptr<ResponseStream> stream;  // if set, poll it for status and body
  Tally tally = {};                        // the stream keeps it up to date
};

// Called from any thread when a poll may bring something new.
using Wake = std::function<void()>;
using HttpHandler = std::function<HttpResponse(const HttpRequest&, Wake)>;

// The OpenAI error object {"error":{message,type,param,code}} with the type that fits the status.
// param and code are null if empty.
HttpResponse error_response(int status, std::string_view message, std::string_view param = {},
                            std::string_view code = {});

// Appends `utf8` as a JSON string with its quotes. Requires well-formed UTF-8.
void append_json_string(std::string& out, std::string_view utf8);

// "a%20b" -> "a b"; a malformed escape stays as it is.
std::string percent_decode(std::string_view text);

}  // namespace tinderbox
