#include "http/gate.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "http/cors.h"

namespace tinderbox {
namespace {

constexpr int kClientGone = 499;  // as nginx logs it

// As OpenAI writes them: "6m0s", "1.5s", "20ms".
std::string short_duration(Duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  if (ms < 1000) return format("{}ms", ms);
  if (ms < 60'000) return ms % 1000 == 0 ? format("{}s", ms / 1000) : format("{}.{:03}s", ms / 1000, ms % 1000);
  const auto s = (ms + 999) / 1000;
  return format("{}m{}s", s / 60, s % 60);
}

void add_limit(std::string_view what, const RateLimit& limit, TimePoint now, std::vector<HttpHeader>& headers) {
  if (!limit.per_min()) return;
  headers.push_back({format("x-ratelimit-limit-{}", what), format("{}", *limit.per_min())});
  headers.push_back({format("x-ratelimit-remaining-{}", what), format("{}", limit.remaining(now))});
  headers.push_back({format("x-ratelimit-reset-{}", what), short_duration(limit.until_full(now))});
}

std::string_view key_of(const HttpRequest& request) {
  constexpr std::string_view kBearer = "bearer ";
  const std::string_view sent = request.header("authorization");
  if (sent.size() > kBearer.size() && lower(sent.substr(0, kBearer.size())) == kBearer) {
    return trim(sent.substr(kBearer.size()));
  }
  return trim(request.header("x-api-key"));
}

// The page's files and what is meant for everybody may be read from anywhere.
bool reads_what_is_open(const HttpRequest& request, const RouteTable::Rule& rule) {
  return (request.method == "GET" || request.method == "HEAD") && (rule.open || !rule.known);
}

void append(std::vector<HttpHeader>& to, const std::vector<HttpHeader>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

// Watches an answer in the making, for the books.
class WatchedStream final : public ResponseStream {
 public:
  WatchedStream(Gate& gate, Gate::Visit visit, std::unique_ptr<ResponseStream> stream, std::vector<HttpHeader> headers)
      : gate_(gate), visit_(std::move(visit)), stream_(std::move(stream)), headers_(std::move(headers)) {}
  ~WatchedStream() override {
    stream_.reset();
    // Whoever only looks (at events without an end) leaves when they like.
    if (!ended_) gate_.end(visit_, visit_.record.metered ? kClientGone : status_, tally_);
  }
  State poll(HttpResponse& response) override {
    const State state = stream_->poll(response);
    tally_ = response.tally;
    if (tally_.generated_tokens > 0 && std::isnan(visit_.record.ttft_s)) {
      visit_.record.ttft_s = to_seconds(gate_.options_.now() - visit_.start).value();
    }
    if (state != State::Waiting) {
      append(response.headers, std::exchange(headers_, {}));
      status_ = response.status;
    }
    if (state == State::Finished && !ended_) {
      ended_ = true;
      gate_.end(visit_, response.status, tally_);
    }
    return state;
  }

 private:
  Gate& gate_;
  Gate::Visit visit_;
  std::unique_ptr<ResponseStream> stream_;
  std::vector<HttpHeader> headers_;
  Tally tally_;
  int status_ = kClientGone;
  bool ended_ = false;
};

Gate::Gate(const RouteTable& routes, KeyBook& keys, GateOptions options)
    : routes_(routes), keys_(keys), options_(std::move(options)) {
  CHECK(options_.now != nullptr && options_.now_unix != nullptr);
  for (std::string& host : options_.allowed_hosts) host = host_name(host);
}

HttpResponse Gate::handle(const HttpRequest& request, Wake wake) {
  keys_.refresh();
  Visit visit;
  visit.start = options_.now();
  visit.record.at_unix = options_.now_unix();
  visit.record.id = request.request_id;
  visit.record.trace_id = request.trace_id;
  visit.record.method = request.method;
  visit.record.path = request.path;
  std::vector<HttpHeader> headers;
  HttpResponse response;
  try {
    response = admit(request, std::move(wake), visit, headers);
  } catch (const RequestError& e) {
    response = RouteTable::refusal(routes_.rule(request).errors, e);
    if (e.status() == 401) {
      const bool sent = !key_of(request).empty();
      headers.push_back({"www-authenticate",
                         sent ? R"(Bearer realm="tinderbox", error="invalid_token")" : R"(Bearer realm="tinderbox")"});
    }
  }
  if (response.stream) {
    response.stream =
        std::make_unique<WatchedStream>(*this, std::move(visit), std::move(response.stream), std::move(headers));
  } else {
    append(response.headers, headers);
    end(visit, response.status, response.tally);
  }
  return response;
}

HttpResponse Gate::admit(const HttpRequest& request, Wake wake, Visit& visit, std::vector<HttpHeader>& headers) {
  const RouteTable::Rule rule = routes_.rule(request);
  const std::string host = host_name(request.header("host"));
  const bool named = std::ranges::find(options_.allowed_hosts, host) != options_.allowed_hosts.end();
  if ((options_.loopback || !options_.allowed_hosts.empty()) && !host.empty() && !named && !is_loopback_name(host)) {
    throw RequestError(403,
                       format("this server does not answer to the name '{}'; ask for localhost, or start it with "
                              "--allowed-host {}",
                              host, host),
                       {}, "host_not_allowed");
  }
  const Origin origin = origin_of(request, options_.cors_origins, options_.allowed_hosts);
  add_cors(request, origin, options_.cors_origins, headers);
  if (origin == Origin::Foreign && !reads_what_is_open(request, rule)) {
    throw RequestError(403,
                       "a page of another origin may not use this server; start it with --cors-origin ORIGIN to "
                       "let one in",
                       {}, "origin_not_allowed");
  }
  if (origin == Origin::Allowed && is_preflight(request)) return preflight_answer(request);

  Caller caller;
  const bool open = rule.open || !rule.known || request.method == "OPTIONS";
  if (!open && (keys_.required() || !options_.keys_unreadable.empty())) {
    KeyBook::Entry& entry = holder(request);
    caller = {.key = key_number(entry.row),
              .name = entry.row.name,
              .priority = entry.row.priority,
              .manages = entry.row.manager};
    visit.record.key_id = entry.row.id;
    visit.record.key_name = entry.row.name;
    if (rule.metered) meter(entry, headers);
  }
  visit.record.metered = rule.metered;
  return routes_.handle(request, std::move(wake), caller);
}

KeyBook::Entry& Gate::holder(const HttpRequest& request) {
  const std::string_view secret = key_of(request);
  KeyBook::Entry* entry = secret.empty() ? nullptr : keys_.find(secret);
  if (entry != nullptr) return *entry;
  if (!options_.keys_unreadable.empty()) {
    throw RequestError(503, format("the keys of this server cannot be read: {}", options_.keys_unreadable), {},
                       "keys_unreadable");
  }
  throw RequestError(401,
                     secret.empty() ? "this server needs an API key; send it as 'Authorization: Bearer KEY'"
                                    : "there is no such API key, or it was revoked; send another one",
                     {}, secret.empty() ? "missing_api_key" : "invalid_api_key");
}

void Gate::meter(KeyBook::Entry& entry, std::vector<HttpHeader>& headers) {
  const TimePoint now = options_.now();
  const Duration requests = entry.requests.wait(1, now), tokens = entry.tokens.wait(1, now);
  const Duration wait = std::max(requests, tokens);
  if (wait == Duration::zero()) entry.requests.take(1, now);
  add_limit("requests", entry.requests, now, headers);
  add_limit("tokens", entry.tokens, now, headers);
  if (wait == Duration::zero()) return;
  headers.push_back({"retry-after", format("{}", std::chrono::ceil<std::chrono::seconds>(wait).count())});
  const bool by_requests = requests > Duration::zero();
  throw RequestError(429,
                     format("the key '{}' has used its {} {} of this minute; try again in {}", entry.row.name,
                            by_requests ? *entry.requests.per_min() : *entry.tokens.per_min(),
                            by_requests ? "requests" : "tokens", short_duration(wait)),
                     {}, "rate_limit_exceeded");
}

void Gate::end(Visit& visit, int status, const Tally& tally) {
  RequestRecord& record = visit.record;
  const TimePoint now = options_.now();
  record.status = status;
  record.model = tally.model;
  record.prompt_tokens = tally.prompt_tokens;
  record.generated_tokens = tally.generated_tokens;
  record.duration_s = to_seconds(now - visit.start).value();
  keys_.count(record, now);
  if (options_.ended) options_.ended(record);
}

std::string host_name(std::string_view host) {
  if (host.starts_with('[')) return lower(host.substr(1, host.find(']') - 1));
  if (std::ranges::count(host, ':') == 1) host = host.substr(0, host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  return lower(host);
}

bool is_loopback_name(std::string_view name) {
  if (name == "localhost" || name.ends_with(".localhost") || name == "::1") return true;
  const std::vector<std::string> parts = split(name, '.');
  return parts.size() == 4 && parts[0] == "127" && std::ranges::all_of(parts, [](const std::string& part) {
           const auto n = parse_int(part);
           return n && *n >= 0 && *n <= 255;
         });
}

}  // namespace tinderbox
