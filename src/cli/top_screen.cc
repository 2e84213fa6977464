#include "cli/top_screen.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/text.h"
#include "cli/screen_row.h"

namespace tinderbox::cli {
namespace {

constexpr double kJoulesPerKwh = 3.6e6;
constexpr int kLabel = 9, kGap = 2, kWidthMin = 20;

bool known(double value) { return !std::isnan(value); }
std::string number(double value, const char* unit, int digits = 0) {
  return known(value) ? format("{:.{}f}{}", value, digits, unit) : "-";
}
std::string count(double value) {
  return known(value) && std::abs(value) < 1e15 ? format("{:.0f}", value) : "-";
}
std::string rate(double value) { return known(value) ? human_number(value) : "-"; }
std::string size(double bytes) { return known(bytes) ? human(Bytes(bytes)) : "-"; }
std::string percent(double share) { return number(100 * share, " %"); }
std::string span(double seconds) {
  if (!known(seconds)) return "-";
  const auto s = static_cast<std::int64_t>(std::clamp(seconds, 0.0, 1e12));
  if (s < 120) return format("{} s", s);
  if (s < 7200) return format("{} min", s / 60);
  if (s < 172'800) return format("{} h {} min", s / 3600, s % 3600 / 60);
  return format("{} d {} h", s / 86'400, s % 86'400 / 3600);
}
// Where a person begins to look, and to worry: for colours only, of no machine in particular.
std::string_view heat_style(double celsius) {
  return celsius >= 85 ? style::kRed : celsius >= 70 ? style::kYellow : style::kGreen;
}

struct Item {
  std::string text;
  std::string_view style = {};
};

class Screen {
 public:
  explicit Screen(const TopView& view) : view_(view), width_(std::max(view.width, kWidthMin)) {}

  ScreenRow row() const { return {width_, view_.colour}; }
  int width() const { return width_; }
  void add(const ScreenRow& row) { lines_.push_back(row.str()); }
  // A label, then items side by side, on as many lines as they need.
  void flow(std::string_view label, const std::vector<Item>& items) {
    if (items.empty()) return;
    ScreenRow line = row();
    line.add(label, style::kCyan).pad_to(kLabel);
    bool first = true;
    for (const Item& item : items) {
      if (!first && columns(item.text) + kGap > line.left()) {
        add(line);
        line = row();
        line.pad_to(kLabel);
        first = true;
      }
      if (!first) line.add("  ");
      line.add(item.text, item.style);
      first = false;
    }
    add(line);
  }
  // A label, a chart as wide as there is room, and what it stands at now.
  void history(std::string_view label, const std::vector<double>& values, double highest, const std::string& now,
               std::string_view style) {
    const int value_width = 13, rows = view_.height >= 44 ? 3 : view_.height >= 34 ? 2 : 1;
    const auto lines = chart(values, highest, width_ - kLabel - value_width, rows);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      ScreenRow line = row();
      line.add(i + 1 == lines.size() ? label : "", style::kCyan).pad_to(kLabel).add(lines[i], style);
      if (i + 1 == lines.size()) line.right(now);
      add(line);
    }
  }
  std::vector<std::string> take() { return std::move(lines_); }
  std::size_t size() const { return lines_.size(); }

 private:
  const TopView& view_;
  int width_;
  std::vector<std::string> lines_;
};

void add_head(Screen& screen, const BoxState& s, const TopView& view) {
  ScreenRow head = screen.row();
  head.add("tinderbox", style::kBold).add(" " + printable(s.version));
  std::string name = s.machine_name.empty() ? "this computer" : printable(s.machine_name);
  if (known(s.nodes) && s.nodes > 1) name = format("{:.0f} x {}", s.nodes, name);
  head.add("  " + name, style::kBold);
  if (s.down) head.add("  DOWN", "1;31");
  head.right("up " + span(s.uptime_s), style::kDim);
  screen.add(head);
  if (!s.modelled.empty()) {
    std::string what;
    for (const std::string& part : s.modelled) what += (what.empty() ? "" : ", ") + printable(part);
    ScreenRow line = screen.row();
    line.add(format("modelled: {}; the rest is of this computer", what), style::kDim);
    screen.add(line);
  }
  if (!view.notice.empty()) {
    ScreenRow line = screen.row();
    line.add(printable(view.notice), "1;31");
    screen.add(line);
  }
}

void add_gpu(Screen& screen, const BoxState& s, const TopHistory& h) {
  if (!s.sensors) return;
  const BoxState::Sensors& x = *s.sensors;
  const auto highest = [](const std::vector<double>& values, double least) {
    double most = least;
    for (const double v : values) most = std::max(most, known(v) ? v : 0);
    return most;
  };
  screen.history("GPU", h.gpu_utilisation, 1, percent(x.gpu_utilisation), style::kGreen);
  screen.history("wall", h.wall_w, highest(h.wall_w, 1), number(x.wall_w, " W", 1), style::kYellow);
  screen.history("GPU °C", h.gpu_c, 100, number(x.gpu_c, " °C", 1), heat_style(x.gpu_c));
  const bool held = x.limit != "none" && x.limit != "idle" && !x.limit.empty();
  screen.flow("clock", {{number(x.sm_clock_hz * 1e-6, " MHz")},
                        {"held by: " + (x.limit.empty() ? "-" : printable(x.limit)), held ? style::kYellow : ""},
                        {format("nvidia-smi shows {}", number(x.gpu_w_shown, " W", 1)), style::kDim},
                        {"used so far " + number(x.energy_j_total / kJoulesPerKwh, " kWh", 3), style::kDim}});
  ScreenRow fan = screen.row();
  fan.add("fan", style::kCyan).pad_to(kLabel);
  const int width = std::min(30, fan.left() - 8);
  fan.add(bar(x.fan_ratio, width)).pad_to(kLabel + width + 1).add(percent(x.fan_ratio));
  screen.add(fan);
}

void add_body(Screen& screen, const BoxState& s) {
  if (!s.sensors) return;
  const BoxState::Sensors& x = *s.sensors;
  std::vector<Item> nodes, zones, rails;
  for (const auto& [name, c] : x.nodes_c) nodes.push_back({printable(name) + " " + number(c, "", 1), heat_style(c)});
  if (known(s.ambient_c)) nodes.push_back({"room " + number(s.ambient_c, "", 1), style::kDim});
  screen.flow("temp °C", nodes);
  for (std::size_t i = 0; i < x.zones_c.size(); ++i) {
    zones.push_back({format("{}: {}", i, number(x.zones_c[i], "", 1)), heat_style(x.zones_c[i])});
  }
  screen.flow("zones °C", zones);
  for (const auto& [name, w] : x.rails_w) rails.push_back({printable(name) + " " + number(w, "", 1)});
  screen.flow("rails W", rails);
}

void add_memory(Screen& screen, const BoxState& s) {
  if (!s.memory) return;
  const BoxState::Memory& m = *s.memory;
  struct Part {
    const char *name, *glyph;
    double bytes;
    std::string_view style;
  };
  const double kv_idle = known(m.kv_used_bytes) ? m.kv_bytes - m.kv_used_bytes : m.kv_bytes;
  const std::vector<Part> parts = {{"weights", "█", m.weights_bytes, style::kBlue},
                                   {"KV used", "▓", m.kv_used_bytes, style::kGreen},
                                   {"KV", "▒", kv_idle, style::kCyan},
                                   {"runtime", "▞", m.runtime_bytes, style::kMagenta},
                                   {"cache", "░", m.page_cache_bytes, style::kYellow},
                                   {"free", "·", m.free_bytes, style::kDim}};
  ScreenRow line = screen.row();
  line.add("memory", style::kCyan).pad_to(kLabel);
  const int width = line.left();
  double before = 0;
  int drawn = 0;
  for (const Part& part : parts) {
    if (!known(part.bytes) || !(m.total_bytes > 0)) continue;
    before += std::max(part.bytes, 0.0);
    // The ends are rounded, not the widths: so that they add up.
    const int end = static_cast<int>(std::lround(std::clamp(before / m.total_bytes, 0.0, 1.0) * width));
    std::string run;
    for (; drawn < end; ++drawn) run += part.glyph;
    line.add(run, part.style);
  }
  screen.add(line);
  std::vector<Item> legend;
  for (const Part& part : parts) {
    if (known(part.bytes)) legend.push_back({format("{} {} {}", part.glyph, part.name, size(part.bytes)), part.style});
  }
  legend.push_back({format("of {}, safe to {}", size(m.total_bytes), size(m.safe_bytes)), style::kDim});
  screen.flow("", legend);
}

void add_not_available(Screen& screen, const BoxState& s) {
  if (!s.sensors || s.sensors->not_available.empty()) return;
  std::vector<Item> items;
  for (const std::string& field : s.sensors->not_available) items.push_back({printable(field), style::kDim});
  screen.flow("[N/A]", items);
}

void add_traffic(Screen& screen, const BoxState& s, const TopHistory& h) {
  const BoxState::Traffic& t = s.traffic;
  double most = 1;
  for (const double v : h.generated_per_s) most = std::max(most, known(v) ? v : 0);
  screen.history("tok/s", h.generated_per_s, most, rate(t.generated_tokens_per_s), style::kBlue);
  const bool refused = t.refused_total > 0;
  screen.flow("traffic", {{count(t.running) + " running"},
                          {count(t.waiting) + " waiting"},
                          {"KV " + percent(t.kv_ratio)},
                          {rate(t.prompt_tokens_per_s) + " prompt tok/s"},
                          {format("{} requests", count(t.requests_total))},
                          {format("{} refused", count(t.refused_total)), refused ? style::kYellow : ""},
                          {format("{} preempted", count(t.preemptions_total))},
                          {count(t.prompt_tokens_total) + " tokens in"},
                          {count(t.generated_tokens_total) + " out"},
                          {"late by " + (known(t.lateness_s_total) ? human(Seconds(t.lateness_s_total)) : "-")}});
  screen.flow("computer", {{"CPU " + percent(s.computer.cpu_ratio)},
                           {"this server " + size(s.computer.rss_bytes)},
                           {format("{} of {} available", size(s.computer.memory_available_bytes),
                                   size(s.computer.memory_total_bytes))}});
}

void add_models(Screen& screen, const BoxState& s) {
  for (const BoxState::Model& m : s.models) {
    ScreenRow line = screen.row();
    line.add(&m == &s.models.front() ? "models" : "", style::kCyan).pad_to(kLabel);
    line.add(printable(m.id), style::kBold).add(m.weightless ? " (no weights)" : " " + printable(m.weights));
    line.add("  " + printable(m.state), m.state == "ready" ? style::kGreen : style::kYellow);
    if (m.pinned) line.add("  pinned");
    line.right(format("{} running  {} waiting  {}", count(m.running), count(m.waiting), size(m.memory_bytes)));
    screen.add(line);
  }
}

void add_faults(Screen& screen, const BoxState& s) {
  std::vector<Item> items;
  for (const BoxState::Fault& f : s.faults) {
    const bool active = !(f.from_unix > s.at_unix);
    std::string text = printable(f.name);
    if (!active) text += " in " + span(f.from_unix - s.at_unix);
    if (active && known(f.until_unix)) text += " for " + span(f.until_unix - s.at_unix);
    items.push_back({text, active ? style::kRed : style::kDim});
  }
  screen.flow("faults", items);
}

// As many as there is room for, under a line that says of how many.
void add_requests(Screen& screen, const BoxState& s, const TopView& view) {
  if (s.requests.empty()) return;
  const auto n = static_cast<int>(s.requests.size());
  const int room = view.height > 0 ? view.height - static_cast<int>(screen.size()) - 2 : n;
  if (room < 1) return;
  const int first = std::clamp(view.first_request, 0, std::max(0, n - room));
  const int last = std::min(n, first + room);
  ScreenRow head = screen.row();
  head.add("requests", style::kCyan).pad_to(kLabel).add(format("{} to {} of {}", first + 1, last, n), style::kDim);
  head.right(format("{:>8}{:>8}{:>8}", "age", "in", "out"), style::kDim);
  screen.add(head);
  for (int i = first; i < last; ++i) {
    const BoxState::Request& r = s.requests[static_cast<std::size_t>(i)];
    ScreenRow line = screen.row();
    line.add(" " + printable(r.id)).add(r.key.empty() ? "" : " by " + printable(r.key), style::kDim);
    line.add(" " + printable(r.state), r.state == "running" ? style::kGreen : style::kYellow);
    line.add(" " + printable(r.model));
    line.right(format("{:>8}{:>8}{:>8}", span(r.age_s), count(r.prompt_tokens), count(r.generated_tokens)));
    screen.add(line);
  }
}

}  // namespace

void TopHistory::add(const BoxState& s) {
  const BoxState::Sensors sensors = s.sensors.value_or(BoxState::Sensors{});
  for (const auto& [series, value] : {std::pair{&gpu_utilisation, sensors.gpu_utilisation},
                                      std::pair{&wall_w, sensors.wall_w}, std::pair{&gpu_c, sensors.gpu_c},
                                      std::pair{&generated_per_s, s.traffic.generated_tokens_per_s}}) {
    if (series->size() == kLooksMax) series->erase(series->begin());
    series->push_back(value);
  }
}

std::vector<std::string> top_screen(const BoxState& s, const TopHistory& h, const TopView& view) {
  Screen screen(view);
  add_head(screen, s, view);
  add_gpu(screen, s, h);
  add_body(screen, s);
  add_memory(screen, s);
  add_not_available(screen, s);
  add_traffic(screen, s, h);
  add_models(screen, s);
  add_faults(screen, s);
  add_requests(screen, s, view);
  std::vector<std::string> lines = screen.take();
  if (view.height > 0 && lines.size() > static_cast<std::size_t>(view.height)) {
    lines.resize(static_cast<std::size_t>(view.height));
  }
  return lines;
}

}  // namespace tinderbox::cli
