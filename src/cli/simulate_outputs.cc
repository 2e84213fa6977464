#include "cli/simulate_outputs.h"

#include "base/error.h"
#include "base/text.h"
#include "cli/output.h"

namespace tinderbox::cli {
namespace {

constexpr std::int64_t kTraceBytesMax = 500'000'000;  // ui.perfetto.dev reads JSON of about so much

std::string load_text(const SimulateOptionsCli& o) {
  if (!o.trace.empty()) return o.trace;
  const std::string sizes = format("of {} + {} tokens", o.prompt, o.gen);
  if (o.users > 0) return format("{} users, requests {}", o.users, sizes);
  return format("{:g} {}/s {}", o.rate, o.turns > 1 ? "conversations" : "requests", sizes);
}

}  // namespace

RequestFile::RequestFile(const std::string& path) : path_(path), file_(path) {
  check("opened");
  file_ << requests_csv_header();
}

void RequestFile::close() {
  file_.flush();
  check("written; is the disk full?");
}

void RequestFile::check(std::string_view what) {
  if (!file_) throw_invalid(format("--requests-out: {} cannot be {}", path_, what));
}

TraceFile::TraceFile(const std::string& path) : path_(path), file_(path, std::ios::binary) {
  check("opened");
  write(PerfettoTrace::kBegin);
}

void TraceFile::write(std::string_view piece) {
  file_.seekp(end_);
  const std::string with_end = std::string(piece) + std::string(PerfettoTrace::kEnd);
  file_.write(with_end.data(), std::ssize(with_end));  // longer than the stream's buffer: one call of the system
  file_.flush();
  end_ += std::ssize(piece);
}

void TraceFile::close() { check("written; is the disk full, or is it no file?"); }

void TraceFile::check(std::string_view what) {
  if (!file_) throw_invalid(format("--perfetto: {} cannot be {}", path_, what));
}

SimulationOutputs::SimulationOutputs(const SimulateOptionsCli& options, const std::vector<const TwinModel*>& models)
    : options_(options) {
  for (const TwinModel* twin : models) {
    names_.push_back(format("{} on {}", twin->model.id, boxes_text(*twin)));
    if (!what_.empty()) what_ += ", ";
    what_ += twin->model.id;
    if (!how_.empty()) how_ += ", ";
    how_ += format("{} by {}", twin->weights.name, twin->stack.name);
  }
  what_ += " on " + boxes_text(*models.front());
  how_ += ", " + load_text(options);
  if (!options.requests_out.empty()) requests_.emplace(options.requests_out);
  if (!options.perfetto.empty()) {
    trace_file_.emplace(options.perfetto);
    trace_.emplace([this](std::string_view piece) { trace_file_->write(piece); }, kTraceBytesMax);
  }
  if (options.svg.empty()) return;
  if (!std::ofstream(options.svg)) throw_invalid(format("--svg: {} cannot be opened", options.svg));
  lines_.emplace();
}

void SimulationOutputs::attach(SimulateOptions& simulation) {
  if (requests_ || lines_) {
    simulation.on_finished = [this](const RequestTimes& times) {
      if (requests_) requests_->add(times);
      if (lines_) lines_->finished(times);
    };
  }
  if (!trace_ && !lines_) return;
  simulation.watch = [this](std::int64_t box, std::int64_t model) {
    std::vector<BoxWatch*> watches;
    if (trace_) watches.push_back(trace_->box(box, names_[static_cast<std::size_t>(model)]));
    if (lines_) watches.push_back(lines_->box(box));
    return watches;
  };
}

void SimulationOutputs::close() {
  if (requests_) requests_->close();
  if (trace_) {
    trace_->finish();
    trace_file_->close();
    log(format("tinderbox: {}: {} events, {} MB; opens in ui.perfetto.dev", options_.perfetto,
               trace_->n_events(), human_number(1e-6 * static_cast<double>(trace_->n_bytes()))));
    if (trace_->cut()) {
      log(format(
          "tinderbox: {}: ends {} into the run, at {} MB; simulate fewer --requests for a trace of "
          "all",
          options_.perfetto, human(since_start(*trace_->cut())), kTraceBytesMax / 1'000'000));
    }
  }
  if (!lines_) return;
  std::string how = how_;
  if (options_.boxes > 1) how += format(", {} boxes behind {}", options_.boxes, options_.router);
  std::ofstream svg(options_.svg, std::ios::binary);
  svg << time_chart_svg(lines_->chart(what_, how));
  if (!svg.flush())
    throw_invalid(format("--svg: {} cannot be written; is the disk full?", options_.svg));
}

}  // namespace tinderbox::cli
