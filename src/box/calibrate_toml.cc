// The fitted numbers in the files they belong to.
#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "box/calibrate.h"

namespace tinderbox {
namespace {

// The line of a key in its section, edited in place.
class Line {
 public:
  Line(std::string& toml, std::string_view file, std::string_view key)
      : toml_(toml), where_(format("{}: {}", file, key)) {
    const std::size_t dot = key.rfind('.');
    const std::size_t section = toml.find(format("[{}]\n", key.substr(0, dot)));
    const std::string name = format("\n{} = {{ value = ", key.substr(dot + 1));
    begin_ = section == std::string::npos ? section : toml.find(name, section);
    if (begin_ == std::string::npos) throw_invalid(where_ + " has no line of its own");
  }
  void set(std::string_view attribute, const std::string& value) {
    const std::size_t end = std::min(toml_.find('\n', begin_ + 1), toml_.size());
    const std::string head = format(" {} = ", attribute);
    const std::size_t from = toml_.find(head, begin_);
    if (from >= end) throw_invalid(format("{} has no {}", where_, attribute));
    const std::size_t begin = from + head.size();
    toml_.replace(begin, toml_.find_first_of(",}", begin) - begin, value);
  }

 private:
  std::string& toml_;
  std::string where_;
  std::size_t begin_ = 0;
};

std::string quoted(const std::string& text) {
  return text.find(' ') == std::string::npos ? text : format("\"{}\"", text);
}

void set_parameters(std::string& toml, const std::string& id,
                    const std::vector<FittedParameter>& parameters, int digits) {
  for (const FittedParameter& p : parameters) {
    Line line(toml, id, p.key);
    line.set("value", quoted(p.text(p.value, digits)));
    line.set("prior", quoted(p.text(p.prior, digits)));
    line.set("error", format("{:.3f}", p.error));
    line.set("rows", format("{}", p.n_rows));
  }
}

}  // namespace

std::string FittedParameter::text(double number, int digits) const {
  if (!unit.empty()) return format("{:.{}g} {}", number / per_unit, digits, unit);
  if (key.ends_with("_time")) return format("{:.{}g} us", 1e6 * number, digits);
  return format("{:.{}g}", number, digits);
}

std::string with_fitted(std::string toml, const FittedMachine& fitted, int digits) {
  set_parameters(toml, fitted.id, fitted.parameters, digits);
  return toml;
}

std::string with_number(std::string toml, std::string_view file, std::string_view key, double value) {
  Line(toml, file, key).set("value", format("{:.3f}", value));
  return toml;
}

std::string with_fitted(std::string toml, const FittedStack& fitted) {
  set_parameters(toml, fitted.id, fitted.parameters, 4);
  for (int q = 0; q < kMetrics; ++q) {
    const Interval& interval = fitted.intervals[static_cast<std::size_t>(q)];
    if (interval.low == 1 && interval.high == 1) continue;  // nothing to go by
    const std::string key = format("interval.{}", metric_name(static_cast<Metric>(q)));
    Line(toml, fitted.id, key + "_low_ratio").set("value", format("{:.3f} ", interval.low));
    Line(toml, fitted.id, key + "_high_ratio").set("value", format("{:.3f} ", interval.high));
  }
  return toml;
}

}  // namespace tinderbox
