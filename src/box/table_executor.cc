#include "box/table_executor.h"

#include <algorithm>

#include "box/twin_executor.h"

namespace tinderbox {
namespace {

void add_chunk(StepSums& sums, std::int64_t n_past, std::int64_t n_new, bool samples) {
  ++sums.n_prompts;
  sums.prompt_tokens += n_new;
  sums.prompt_past += n_past * n_new;
  if (n_past > 0) {
    ++sums.n_continued;
    sums.continued_tokens += n_new;
  }
  sums.last_samples = samples;
}

}  // namespace

TableExecutor::TableExecutor(StepTable& table, bool by_steps) : table_(table), by_steps_(by_steps) {}

StepResult TableExecutor::run(const Step& step, TimePoint start) {
  StepSums sums;
  StepResult result;
  for (const StepItem& item : step.items) {
    if (item.samples) result.sampled.push_back(0);
    if (item.decodes) {
      ++sums.n_decoding;
      sums.decoding_past += item.n_past;
    } else {
      add_chunk(sums, item.n_past, item.n_new, item.samples);
    }
  }
  result.end = after(start, table_.time(sums));
  return result;
}

void TableExecutor::run(const StepRun& steps, TimePoint start, TimePoint until, RunTimes& times) {
  times.pieces.clear();
  times.n_steps = 0;
  times.end = start;
  const auto take = [&](Duration step, std::int64_t n) {
    times.pieces.push_back({step, n});
    times.n_steps += n;
    times.end = after(times.end, step * n);
  };
  if (!steps.prompts.empty()) {
    StepSums sums{.n_decoding = steps.n_decoding, .decoding_past = steps.n_past};
    for (const PromptChunk& c : steps.prompts) add_chunk(sums, c.n_past, c.n_new, c.samples);
    take(table_.time(sums), 1);
    return;
  }
  std::int64_t n_past = steps.n_past;
  while (times.n_steps < steps.n_steps && (times.n_steps == 0 || times.end < until)) {
    const Duration step = table_.decode_time(steps.n_decoding, n_past);
    std::int64_t n = std::min(StepTable::n_alike(steps.n_decoding, n_past), steps.n_steps - times.n_steps);
    if (until > times.end && step * n > until - times.end) {
      n = std::max<std::int64_t>(1, (until - times.end + step - Duration(1)) / step);
    } else if (until <= times.end) {
      n = 1;
    }
    take(step, n);
    n_past += n * steps.n_decoding;
  }
}

}  // namespace tinderbox
