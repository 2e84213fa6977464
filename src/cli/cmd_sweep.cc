#include <memory>

#include "base/mapped_file.h"
#include "box/sweep_run.h"
#include "cli/commands.h"
#include "cli/sweep_points.h"
#include "cli/sweep_session.h"

namespace tinderbox::cli {

int cmd_sweep(const Context& context, const SweepOptionsCli& options) {
  const Sweep sweep = read_sweep(context, read_file(options.file), options.file);
  SweepSession session(sweep, options);
  const auto make_runner = [&]() -> RunPoint {
    auto runner = std::make_shared<PointRunner>(context, sweep);
    return [runner](std::int64_t point) { return runner->run(point); };
  };
  run_points(session.to_do(), options.threads, make_runner,
             [&](std::span<const SweepRow> rows) { session.keep(rows); });
  return session.finish();
}

}  // namespace tinderbox::cli
