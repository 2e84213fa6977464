// Points of a sweep on several threads: each takes the next one that is left, and the caller's
// thread takes what is finished, in groups, while they go on. What comes of a point does not depend
// on who ran it, so only the order in which points arrive varies.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tinderbox {

// What came of a point. report: the JSON document of its simulation; error: why it cannot run. One
// of them is empty.
struct SweepRow {
  std::int64_t point = 0;
  std::string report = {}, error = {};
};

// Runs one point. May throw; then the whole sweep ends.
using RunPoint = std::function<SweepRow(std::int64_t)>;
// Keeps rows. May throw likewise.
using KeepRows = std::function<void(std::span<const SweepRow>)>;

// make_runner is called once on each of n_threads threads (0: as many as processors), and what it
// returns only there. keep is called on this thread, with each row once. What a thread or keep
// throws is thrown here, once every thread has ended; of the rows that were finished keep has had
// all, unless it threw itself.
void run_points(std::span<const std::int64_t> points, int n_threads,
                const std::function<RunPoint()>& make_runner, const KeepRows& keep);

}  // namespace tinderbox
