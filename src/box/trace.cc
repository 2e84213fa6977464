#include "box/trace.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/csv.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "box/lengths.h"
#include "box/trace_rows.h"

namespace tinderbox {
namespace {

constexpr std::size_t kNotesMax = 10;
constexpr double kSpanMax = 10.0 * 365 * 86400 * 1e9;  // ns, so that times fit
constexpr double kSecond = 1e9;

// "2023-11-16 18:15:46.6805900", with or without a zone of +00:00, in ns since 1970.
std::optional<double> parse_stamp(const std::string& text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0;
  double second = 0;
  int n = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%*1[ T]%2d:%2d:%lf%n", &year, &month, &day, &hour, &minute, &second,
                  &n) != 6) {
    return std::nullopt;
  }
  const std::string_view zone = trim(std::string_view(text).substr(static_cast<std::size_t>(n)));
  if (!zone.empty() && zone != "Z" && zone != "+00:00") return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                            std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || !(second >= 0 && second < 61)) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return (static_cast<double>(days) * 86400 + hour * 3600 + minute * 60 + second) * kSecond;
}

struct CsvFormat {
  const char *name, *time, *prompt, *gen;
  bool stamp;  // time is a date and time of day; otherwise seconds
};
constexpr CsvFormat kCsvFormats[] = {
    {"Azure", "TIMESTAMP", "ContextTokens", "GeneratedTokens", true},
    {"BurstGPT", "Timestamp", "Request tokens", "Response tokens", false},
    {"CSV", "arrival_s", "prompt_tokens", "output_tokens", false},
};

std::int64_t line_of(const Csv& csv, std::size_t row) {
  const std::string where = csv.where(row);
  return parse_int(std::string_view(where).substr(where.rfind(':') + 1)).value_or(0);
}

Trace read_csv_trace(std::string_view text, std::string_view name, const TraceOptions& options) {
  const Csv csv = Csv::parse(text, name);
  const auto has_all = [&](const CsvFormat& f) {
    return csv.has(f.time) && csv.has(f.prompt) && csv.has(f.gen);
  };
  const auto found = std::ranges::find_if(kCsvFormats, has_all);
  if (found == std::end(kCsvFormats)) {
    throw_invalid(format("{}:1: columns of no known trace; expected TIMESTAMP,ContextTokens,GeneratedTokens "
                         "(Azure), Timestamp,Request tokens,Response tokens (BurstGPT) or "
                         "arrival_s,prompt_tokens,output_tokens",
                         name));
  }
  TraceRows rows(name, found->name, options);
  for (std::size_t i = 0; i < csv.size(); ++i) {
    const std::string& time = csv.at(i, found->time);
    std::optional<double> ns = found->stamp ? parse_stamp(time) : parse_double(trim(time));
    if (!ns) {
      rows.skip(line_of(csv, i), format("'{}' is no time; expected {}", time,
                                        found->stamp ? "2023-11-16 18:15:46.68" : "seconds"));
      continue;
    }
    if (!found->stamp) *ns *= kSecond;
    const auto prompt = parse_double(trim(csv.at(i, found->prompt)));
    const auto gen = parse_double(trim(csv.at(i, found->gen)));
    if (!prompt || !gen) {
      rows.skip(line_of(csv, i), "token counts must be numbers");
      continue;
    }
    rows.add(line_of(csv, i), {.time_ns = ns, .prompt = *prompt, .gen = *gen});
  }
  return rows.finish();
}

}  // namespace

void TraceRows::skip(std::int64_t line, std::string_view why) {
  ++trace_.n_rows;
  ++trace_.n_skipped;
  const std::string note = format("{}:{}: {}", name_, line, why);
  if (options_.strict) throw_invalid(note + "; leave out --strict to skip such rows");
  if (trace_.notes.size() < kNotesMax) trace_.notes.push_back(note);
}

void TraceRows::add(std::int64_t line, TraceRow row) {
  const auto is_length = [](double n) { return n >= 1 && n <= static_cast<double>(kLengthMax); };
  if (!is_length(row.prompt)) {
    return skip(line, format("a prompt of {} tokens; expected 1 to {}", row.prompt, kLengthMax));
  }
  if (!is_length(row.gen)) {
    return skip(line, format("an answer of {} tokens; expected 1 to {}", row.gen, kLengthMax));
  }
  if (row.time_ns && !(std::isfinite(*row.time_ns) && *row.time_ns >= 0)) {
    return skip(line, "a time before its beginning");
  }
  if (row.time_ns && !times_.empty() && *row.time_ns < times_.back()) {
    if (options_.strict) return skip(line, "earlier than the row before it");
    if (trace_.n_unordered++ == 0) {
      trace_.notes.push_back(format("{}:{}: earlier than the row before it; rows are sorted", name_, line));
    }
  }
  ++trace_.n_rows;
  n_timed_ += row.time_ns ? 1 : 0;
  times_.push_back(row.time_ns.value_or(0));
  Request& request = trace_.requests.emplace_back();
  request.n_prompt = static_cast<std::int32_t>(row.prompt);
  request.n_gen_max = static_cast<std::int32_t>(row.gen);
  request.contents = std::move(row.contents);
}

Trace TraceRows::finish() {
  const std::string first = trace_.notes.empty() ? "" : "; the first: " + trace_.notes.front();
  if (times_.empty()) {
    throw_invalid(format("{}: none of {} rows can be used{}", name_, trace_.n_rows, first));
  }
  trace_.timed = n_timed_ == std::ssize(times_);
  const auto [low, high] = std::ranges::minmax(times_);
  if (trace_.timed && !((high - low) / options_.speed < kSpanMax)) {
    throw_invalid(format("{}: its times span more than ten years; are they in the unit of the format?", name_));
  }
  std::vector<std::size_t> order(times_.size());
  std::iota(order.begin(), order.end(), 0);
  if (trace_.timed) std::ranges::stable_sort(order, {}, [&](std::size_t i) { return times_[i]; });
  std::vector<Request> sorted;
  for (const std::size_t i : order) {
    Request& request = sorted.emplace_back(std::move(trace_.requests[i]));
    request.id = std::ssize(sorted);
    if (trace_.timed) {
      request.arrival = TimePoint(Duration(std::llround((times_[i] - low) / options_.speed)));
    }
  }
  trace_.requests = std::move(sorted);
  return std::move(trace_);
}

Trace read_trace(std::string_view text, std::string_view name, const TraceOptions& options) {
  if (!(options.speed > 0 && std::isfinite(options.speed))) {
    throw_invalid(format("{}: a speed of {}, but it must be above 0", name, options.speed));
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const std::string_view begin = trim(text.substr(0, 1000));
  if (begin.starts_with('{') || begin.starts_with('[')) return read_json_trace(text, name, options);
  return read_csv_trace(text, name, options);
}

Trace load_trace(const std::string& path, const TraceOptions& options) {
  return read_trace(read_file(path), path, options);
}

}  // namespace tinderbox
