#include "cli/output.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace tinderbox::cli {
namespace {

constexpr double kTimeLeftAfter = 0.5;  // seconds: before, it is a guess

}  // namespace

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  if (errno == EPIPE) std::exit(0);  // whoever read has seen enough
  log(format("tinderbox: cannot write the output: {}", std::strerror(errno)));
  std::exit(2);
}

void print_json(const nlohmann::ordered_json& document) {
  print(document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void log(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fputc('\n', stderr);
}

Progress::Progress(std::string what)
    : what_(std::move(what)), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (percent_ >= 0) std::fputs("\r\033[K", stderr);
}

void Progress::at(std::int64_t done, std::int64_t total) {
  if (!terminal_ || total <= 0) return;
  const int percent = static_cast<int>(done * 100 / total);
  if (percent == percent_) return;
  percent_ = percent;
  const std::string bar(static_cast<std::size_t>(percent / 5), '#');
  const double passed = since_start(clock_.now()).value();
  std::string left;
  if (passed >= kTimeLeftAfter && done > 0) {
    const double seconds = passed * static_cast<double>(total - done) / static_cast<double>(done);
    left = seconds < 100 ? format(", {:.0f} s left", seconds) : format(", {} left", human(Seconds(seconds)));
  }
  std::fputs(format("\r[{:<20}] {:3} %  {}{}\033[K", bar, percent, what_, left).c_str(), stderr);
}

}  // namespace tinderbox::cli
