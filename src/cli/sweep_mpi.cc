// `mpirun -n 4 tinderbox-sweep-mpi FILE.toml`: a sweep on many machines. Rank 0 reads the file,
// hands out points, and alone writes the results; the others simulate, so `-n` is one more than the
// processors that shall work. With one rank it is `tinderbox simulate --sweep`. The file needs to
// be where rank 0 is; models and traces it names, everywhere.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <mpi.h>
#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/sweep_points.h"
#include "cli/sweep_session.h"

namespace tinderbox::cli {
namespace {

constexpr int kPointTag = 1, kReportTag = 2, kErrorTag = 3;
constexpr std::int64_t kNoMore = -1;
constexpr std::int64_t kQueuedMax = 16;  // points that a rank has in hand
constexpr std::chrono::microseconds kPollEvery{
    100};  // rank 0 sleeps so long instead of spinning on a processor

// Rank 0's text, everywhere. Texts are at most a sweep file.
std::string everywhere(std::string text) {
  auto n = static_cast<std::int64_t>(text.size());
  MPI_Bcast(&n, 1, MPI_INT64_T, 0, MPI_COMM_WORLD);
  text.resize(static_cast<std::size_t>(n));
  MPI_Bcast(text.data(), static_cast<int>(n), MPI_CHAR, 0, MPI_COMM_WORLD);
  return text;
}

void hand_out(std::int64_t point, int rank) {
  MPI_Send(&point, 1, MPI_INT64_T, rank, kPointTag, MPI_COMM_WORLD);
}

// A row travels as its point, eight bytes, and its text; the tag says which text it is.
void send_row(const SweepRow& row) {
  const bool ran = row.error.empty();
  std::string bytes(reinterpret_cast<const char*>(&row.point), sizeof row.point);
  bytes += ran ? row.report : row.error;
  MPI_Send(bytes.data(), static_cast<int>(bytes.size()), MPI_CHAR, 0, ran ? kReportTag : kErrorTag,
           MPI_COMM_WORLD);
}

struct Arrived {
  SweepRow row;
  int rank = 0;
};

// A row that has come, if one has.
std::optional<Arrived> next_row() {
  int flag = 0;
  MPI_Status status;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &status);
  if (flag == 0) return std::nullopt;
  int n = 0;
  MPI_Get_count(&status, MPI_CHAR, &n);
  std::string bytes(static_cast<std::size_t>(n), '\0');
  MPI_Recv(bytes.data(), n, MPI_CHAR, status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD, &status);
  Arrived arrived{.row = {}, .rank = status.MPI_SOURCE};
  std::copy_n(bytes.data(), sizeof arrived.row.point, reinterpret_cast<char*>(&arrived.row.point));
  (status.MPI_TAG == kReportTag ? arrived.row.report : arrived.row.error) =
      bytes.substr(sizeof arrived.row.point);
  return arrived;
}

// Rank 0: every rank has some points in hand, so that none waits while rows are written.
void lead(SweepSession& session, int n_ranks) {
  const std::vector<std::int64_t>& points = session.to_do();
  const auto n_points = static_cast<std::int64_t>(points.size());
  const std::int64_t n_queued =
      std::clamp<std::int64_t>(n_points / (4 * (n_ranks - 1)), 1, kQueuedMax);
  std::size_t next = 0, n_kept = 0;
  for (std::int64_t i = 0; i < n_queued; ++i) {
    for (int rank = 1; rank < n_ranks && next < points.size(); ++rank)
      hand_out(points[next++], rank);
  }
  while (n_kept < points.size()) {
    std::vector<SweepRow> rows;
    while (std::optional<Arrived> arrived = next_row()) {
      rows.push_back(std::move(arrived->row));
      if (next < points.size()) hand_out(points[next++], arrived->rank);
    }
    if (rows.empty()) {
      std::this_thread::sleep_for(kPollEvery);
    } else {
      session.keep(rows);
      n_kept += rows.size();
    }
  }
  for (int rank = 1; rank < n_ranks; ++rank) hand_out(kNoMore, rank);
}

void follow(const Context& context) {
  const std::string name = everywhere({});
  const std::string text = everywhere({});
  if (name.empty()) return;  // rank 0 has said why
  SettingsParser parser;
  const Sweep sweep = parse_sweep(text, name, parser.keys());
  PointRunner runner(context, sweep);
  for (;;) {
    std::int64_t point = 0;
    MPI_Recv(&point, 1, MPI_INT64_T, 0, kPointTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (point == kNoMore) return;
    send_row(runner.run(point));
  }
}

int run_alone(const Context& context, const Sweep& sweep, SweepSession& session) {
  const auto make_runner = [&]() -> RunPoint {
    auto runner = std::make_shared<PointRunner>(context, sweep);
    return [runner](std::int64_t point) { return runner->run(point); };
  };
  run_points(session.to_do(), 0, make_runner,
             [&](std::span<const SweepRow> rows) { session.keep(rows); });
  return session.finish();
}

int run_lead(const Context& context, const SweepOptionsCli& options, int n_ranks) {
  std::optional<Sweep> sweep;
  std::optional<SweepSession> session;
  try {
    sweep = read_sweep(context, read_file(options.file), options.file);
    session.emplace(*sweep, options);
  } catch (const Error& error) {
    log(format("tinderbox-sweep-mpi: {}", error.what()));
    everywhere({});
    everywhere({});
    return 2;
  }
  everywhere(sweep->name);
  everywhere(sweep->text);
  if (n_ranks == 1) return run_alone(context, *sweep, *session);
  lead(*session, n_ranks);
  return session->finish();
}

// Whether to go on; else the exit code.
std::optional<int> parse_arguments(int argc, char** argv, SweepOptionsCli& options, bool speaks) {
  CLI::App app(
      "A sweep of simulations on many machines under MPI: rank 0 writes the results, the others "
      "simulate.\n"
      "`tinderbox simulate --help` says what a sweep file is.",
      "tinderbox-sweep-mpi");
  app.add_option("file", options.file, "The sweep, a TOML file")->required();
  app.add_option("--results", options.results, "The SQLite file (default: the sweep's name, here)");
  app.add_option("--csv", options.csv,
                 "Write the results here, a row a point, without the whole reports");
  app.add_flag("--json", options.json, "One JSON document on stdout");
  app.footer(
      "\nExamples:\n  mpirun -n 9 tinderbox-sweep-mpi load.toml --csv load.csv\n"
      "  srun --mpi=pmix -n 65 tinderbox-sweep-mpi load.toml");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return speaks ? app.exit(success) : 0;
  } catch (const CLI::ParseError& error) {
    if (speaks)
      log(format("tinderbox-sweep-mpi: {}; `tinderbox-sweep-mpi --help` explains", error.what()));
    return 2;
  }
  return std::nullopt;
}

int run(int argc, char** argv) {
  int rank = 0, n_ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
  SweepOptionsCli options;
  if (const auto code = parse_arguments(argc, argv, options, rank == 0)) return *code;
  try {
    const Context context = load_context();
    if (rank == 0) return run_lead(context, options, n_ranks);
    follow(context);
    return 0;
  } catch (const Error& error) {
    log(format("tinderbox-sweep-mpi: {}", error.what()));
    if (n_ranks == 1) return 2;
    MPI_Abort(MPI_COMM_WORLD, 2);  // the others wait for this rank
  } catch (const std::exception& error) {
    log(format("tinderbox-sweep-mpi: internal error: {}", error.what()));
    MPI_Abort(MPI_COMM_WORLD, 3);
  }
  return 3;
}

}  // namespace
}  // namespace tinderbox::cli

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const int code = tinderbox::cli::run(argc, argv);
  MPI_Finalize();
  return code;
}
