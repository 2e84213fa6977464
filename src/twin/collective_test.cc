#include "twin/collective.h"

#include "base/error.h"
#include "base/mapped_file.h"

namespace tinderbox {
namespace {

Machine spark() {
  return parse_machine(read_file(TINDERBOX_SOURCE_DIR "/data/machines/dgx-spark.toml"), "dgx-spark");
}

const double kSizes[] = {1, 4096, 14e3, 60e3, 200e3, 1e6, 3e6, 8e6, 25e6, 100e6, 1e9};

// The curves go through what was measured, each at its own number of boxes.
TEST(Collective, EqualsItsMeasuredPoints) {
  const Machine machine = spark();
  int n_points = 0;
  for (const Link& link : machine.links) {
    if (!link.state_of.empty()) continue;
    for (const auto& [size, time] : link.all_reduce.points) {
      EXPECT_DOUBLE_EQ(all_reduce_time(link, 2, size).value(), time.value()) << link.name;
      ++n_points;
    }
    for (const auto& [size, time] : link.all_reduce_four.points) {
      EXPECT_NEAR(all_reduce_time(link, 4, size).value(), time.value(), 1e-12) << link.name;
      ++n_points;
    }
    for (const auto& [size, time] : link.send.points) {
      EXPECT_DOUBLE_EQ(send_time(link, size).value(), time.value()) << link.name;
      ++n_points;
    }
  }
  EXPECT_GT(n_points, 40);
}

// Measurements that the curves have not seen (data/measurements/micro.csv): two boxes with another
// card firmware, and eight on a switch with a reduction of their own, which is faster than a ring
// while messages are small.
TEST(Collective, AgreesWithOtherMeasurements) {
  const Machine machine = spark();
  const Link& link = link_of_boxes(machine, "");
  const auto us = [&](int n, double size) { return 1e6 * all_reduce_time(link, n, Bytes(size)).value(); };
  EXPECT_NEAR(us(2, 8192), 27.8, 0.1 * 27.8);
  EXPECT_NEAR(us(2, 65536), 67.3, 0.1 * 67.3);
  EXPECT_NEAR(us(8, 122880), 168.4, 0.6 * 168.4);
  EXPECT_NEAR(us(8, 983040), 360.2, 0.2 * 360.2);
  EXPECT_NEAR(us(8, 64 * kMiB), 5014, 0.2 * 5014);
  const double gather = 2 * 16 * kGiB;  // 16 GiB a box
  EXPECT_NEAR(gather / 2 / all_gather_time(link, 2, Bytes(gather)).value() / 1e9, 22.2, 0.15 * 22.2);
}

TEST(Collective, MoreBoxesTakeLonger) {
  const Machine machine = spark();
  for (const Link& link : machine.links) {
    if (!link.joins_boxes()) continue;
    for (const double size : kSizes) {
      // Between two boxes NCCL is slower than its own ring from 128 KiB to 4 MiB.
      const int from = size > 100e3 && size < 6e6 ? 3 : 2;
      for (int n = from; n < 8; ++n) {
        EXPECT_LT(all_reduce_time(link, n, Bytes(size)), all_reduce_time(link, n + 1, Bytes(size)))
            << link.name << ' ' << size << ' ' << n;
      }
    }
  }
}

TEST(Collective, FaultsOnlySlowDown) {
  const Machine machine = spark();
  const Link& healthy = link_of_boxes(machine, "two-rails");
  int n_faults = 0;
  for (const Link& link : machine.links) {
    if (link.state_of.empty()) continue;
    ++n_faults;
    EXPECT_EQ(link.state_of, "two-rails");
    for (const double size : kSizes) {
      EXPECT_GE(all_reduce_time(link, 2, Bytes(size)), all_reduce_time(healthy, 2, Bytes(size)));
      EXPECT_GE(send_time(link, Bytes(size)), send_time(healthy, Bytes(size)));
    }
    // 1 GB: what the fault leaves of the bandwidth.
    EXPECT_NEAR(1e9 / all_reduce_time(link, 2, Bytes(1e9)).value(), link.bandwidth.value(),
                link.name == "tcp" ? 0.01 * 13.9e9 : 0.01 * link.bandwidth.value())
        << link.name;
  }
  EXPECT_EQ(n_faults, 6);
}

TEST(Collective, UnknownLinkNamesTheNearest) {
  const Machine machine = spark();
  EXPECT_EQ(link_of_boxes(machine, "").name, "two-rails");
  try {
    link_of_boxes(machine, "hot-plug-cup");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Error::Code::NotFound);
    EXPECT_NE(std::string(error.what()).find("did you mean 'hot-plug-cap'"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(link_of_boxes(machine, "host-to-device"), Error);
  Machine alone = machine;
  alone.links.clear();
  EXPECT_THROW(link_of_boxes(alone, ""), Error);
}

}  // namespace
}  // namespace tinderbox
