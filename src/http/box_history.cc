#include "http/box_history.h"

#include <cmath>
#include <utility>

#include "base/text.h"

namespace tinderbox {
namespace {

void append_number(std::string& out, double value) {
  if (std::isfinite(value)) {
    fmt::format_to(std::back_inserter(out), "{}", value);
  } else {
    out += "null";
  }
}

template <typename T, typename Append>
void append_list(std::string& out, const std::vector<T>& values, const Append& append) {
  out += '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    append(values[i]);
  }
  out += ']';
}

std::string document(const HistoryColumns& columns) {
  std::string out = R"({"at_unix":)";
  append_list(out, columns.at_unix, [&](std::int64_t at) { fmt::format_to(std::back_inserter(out), "{}", at); });
  out += R"(,"series":{)";
  for (std::size_t i = 0; i < columns.names.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, to_valid_utf8(columns.names[i]));
    out += ':';
    append_list(out, columns.values[i], [&](double value) { append_number(out, value); });
  }
  return out + "}}";
}

}  // namespace

std::string query_field(std::string_view query, std::string_view name) {
  for (const std::string& field : split(query, '&')) {
    if (field.size() > name.size() && field.starts_with(name) && field[name.size()] == '=') {
      return percent_decode(std::string_view(field).substr(name.size() + 1));
    }
  }
  return "";
}

void add_history_route(RouteTable& routes, const Guarded<History>& history, std::function<double()> now_unix) {
  routes.add({.method = "GET",
              .path = "/box/history",
              .answer = [&history, now_unix = std::move(now_unix)](const Call& call) {
                constexpr std::int64_t kSecondsDefault = 3600, kSecondsMax = kHistorySpans.back().kept_s;
                const std::string asked = query_field(call.request.query, "seconds");
                const auto seconds = asked.empty() ? std::optional(kSecondsDefault) : parse_int(asked);
                if (!seconds || *seconds < 1 || *seconds > kSecondsMax) {
                  throw RequestError(400, format("seconds: '{}' is not 1 to {}", asked, kSecondsMax), "seconds",
                                     "invalid_value");
                }
                HttpResponse response;
                response.headers.push_back({"cache-control", "no-store"});
                response.body =
                    document(history.with([&](const History& h) { return h.query(now_unix(), *seconds); }));
                return response;
              }});
}

}  // namespace tinderbox
