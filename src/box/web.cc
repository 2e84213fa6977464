#include "box/web.h"

// Options of 2010 are deprecated since 2022; but the libcurl that is loaded may be an older one.
#define CURL_DISABLE_DEPRECATION
#include <curl/curl.h>
#include <dlfcn.h>

#include <exception>
#include <memory>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr long kRedirectionsMax = 10;
constexpr std::size_t kHeaderBytesMax = 64 * 1024;

// The functions of libcurl that are used, under their own types.
struct Curl {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) init;
  decltype(&::curl_easy_setopt) setopt;
  decltype(&::curl_easy_perform) perform;
  decltype(&::curl_easy_getinfo) getinfo;
  decltype(&::curl_easy_cleanup) cleanup;
  decltype(&::curl_easy_strerror) strerror;
  decltype(&::curl_slist_append) append;
  decltype(&::curl_slist_free_all) free_all;
};

template <typename Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr) throw_unsupported(format("libcurl has no {}; install a newer libcurl4", name));
}

Curl load() {
  void* library = nullptr;
  for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"}) {
    library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);  // for the life of the process
    if (library != nullptr) break;
  }
  if (library == nullptr) {
    throw_unsupported("fetching needs libcurl, which is not here; install it (Debian, Ubuntu: apt install libcurl4)");
  }
  Curl curl{};
  find(library, "curl_global_init", curl.global_init);
  find(library, "curl_easy_init", curl.init);
  find(library, "curl_easy_setopt", curl.setopt);
  find(library, "curl_easy_perform", curl.perform);
  find(library, "curl_easy_getinfo", curl.getinfo);
  find(library, "curl_easy_cleanup", curl.cleanup);
  find(library, "curl_easy_strerror", curl.strerror);
  find(library, "curl_slist_append", curl.append);
  find(library, "curl_slist_free_all", curl.free_all);
  if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw_unsupported("libcurl does not start");
  return curl;
}

const Curl& curl() {
  static const Curl functions = load();
  return functions;
}

// What one transfer needs while it runs.
struct Transfer {
  const std::function<bool(const WebReply&)>& begin;
  const std::function<bool(std::string_view)>& body;
  const std::function<bool()>& stop;
  CURL* handle = nullptr;
  WebReply reply{};
  std::size_t header_bytes = 0;
  bool begun = false, stopped = false;
  std::exception_ptr thrown{};  // by a callback; libcurl is C and must not be unwound
};

std::size_t take_header(char* data, std::size_t size, std::size_t n, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, size * n);
  transfer.header_bytes += line.size();
  if (transfer.header_bytes > kHeaderBytesMax) return 0;
  if (line.starts_with("HTTP/")) {  // another answer, after a redirection
    transfer.reply.headers.clear();
    transfer.header_bytes = 0;
  }
  if (const std::size_t colon = line.find(':'); colon != line.npos) {
    transfer.reply.headers[lower(trim(line.substr(0, colon)))] = std::string(trim(line.substr(colon + 1)));
  }
  return line.size();
}

void read_status(Transfer& transfer) {
  long status = 0;
  curl().getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
  transfer.reply.status = static_cast<int>(status);
  char* url = nullptr;
  curl().getinfo(transfer.handle, CURLINFO_EFFECTIVE_URL, &url);
  transfer.reply.url = url == nullptr ? "" : url;
}

std::size_t take_body(char* data, std::size_t size, std::size_t n, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  try {
    if (!transfer.begun) {
      transfer.begun = true;
      read_status(transfer);
      transfer.stopped = !transfer.begin(transfer.reply);
    }
    if (!transfer.stopped) transfer.stopped = !transfer.body({data, size * n});
  } catch (...) {
    transfer.thrown = std::current_exception();
    transfer.stopped = true;
  }
  return transfer.stopped ? 0 : size * n;
}

int look_up(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.stop && transfer.stop()) transfer.stopped = true;
  return transfer.stopped ? 1 : 0;
}

// Whether another try may help.
bool passing(CURLcode code) {
  switch (static_cast<int>(code)) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR: return true;
    default: return false;
  }
}

using Handle = std::unique_ptr<CURL, void (*)(CURL*)>;
using Headers = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

void set_up(CURL* h, const WebOptions& options, const WebRequest& request, Transfer& transfer) {
  const std::string range = format("{}-", request.from);  // libcurl copies it
  const auto set = [h](CURLoption option, auto value) { curl().setopt(h, option, value); };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_USERAGENT, options.agent.c_str());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FOLLOWLOCATION, request.follow ? 1L : 0L);
  set(CURLOPT_MAXREDIRS, kRedirectionsMax);
  // Never to a file, never from a protected connection to one that anybody can read.
  const bool secure = request.url.starts_with("https:");
  set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  set(CURLOPT_REDIR_PROTOCOLS, static_cast<long>(secure ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS));
  set(CURLOPT_NOBODY, request.head ? 1L : 0L);
  // Not CURLOPT_RESUME_FROM, which takes a whole answer (200) for an error.
  if (request.from > 0) set(CURLOPT_RANGE, range.c_str());
  if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.value() * 1e3));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout.value()));
  set(CURLOPT_HEADERFUNCTION, take_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  set(CURLOPT_WRITEFUNCTION, take_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, look_up);
  set(CURLOPT_XFERINFODATA, static_cast<void*>(&transfer));
}

}  // namespace

std::string WebReply::header(std::string_view name) const {
  const auto it = headers.find(std::string(name));
  return it == headers.end() ? "" : it->second;
}

Web::Web(WebOptions options) : options_(std::move(options)) { curl(); }

WebResult Web::fetch(const WebRequest& request, const std::function<bool(const WebReply&)>& begin,
                     const std::function<bool(std::string_view)>& body) {
  const Handle handle(curl().init(), curl().cleanup);
  if (!handle) throw Error(Error::Code::Busy, "libcurl: no memory left");
  Transfer transfer{.begin = begin, .body = body, .stop = options_.stop, .handle = handle.get()};
  set_up(handle.get(), options_, request, transfer);
  Headers headers(nullptr, curl().free_all);
  const auto add = [&headers](const std::string& line) {
    headers.reset(curl().append(headers.release(), line.c_str()));
  };
  for (const std::string& line : request.headers) add(line);
  // As a header of ours, which libcurl keeps from other hosts when it is redirected to them.
  if (!request.bearer.empty()) add("Authorization: Bearer " + request.bearer);
  curl().setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
  const CURLcode code = curl().perform(handle.get());
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  read_status(transfer);
  WebResult result{.reply = std::move(transfer.reply), .end = WebEnd::Whole, .trouble = {}};
  if (transfer.stopped) {
    result.end = WebEnd::Stopped;
  } else if (code != CURLE_OK) {
    result.end = passing(code) ? WebEnd::Broken : WebEnd::Failed;
    result.trouble = curl().strerror(code);
  } else if (!transfer.begun) {
    if (!begin(result.reply)) result.end = WebEnd::Stopped;  // an empty body
  }
  return result;
}

WebResult Web::text(const WebRequest& request, std::string& out, std::size_t bytes_max) {
  out.clear();
  bool too_large = false;
  WebResult result = fetch(
      request, [](const WebReply&) { return true; },
      [&](std::string_view piece) {
        too_large = out.size() + piece.size() > bytes_max;
        if (!too_large) out += piece;
        return !too_large;
      });
  if (too_large) throw_too_large(format("{}: more than {} bytes", request.url, bytes_max));
  return result;
}

}  // namespace tinderbox
