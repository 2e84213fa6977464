// Devices of one box: what their operations take, and how they share a model.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "twin/collective.h"
#include "twin/predict.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

constexpr double kSizes[] = {1, 4096, 14e3, 60e3, 200e3, 1e6, 3e6, 8e6, 25e6, 100e6, 1e9};

Link peer_of(const std::string& id) {
  const std::string path = TINDERBOX_SOURCE_DIR "/data/machines/" + id + ".toml";
  return link_of_boxes(parse_machine(read_file(path), id), "peer");
}

TEST(CollectiveOfDevices, EqualsTheFormulaByHand) {
  Link link;
  link.name = "peer";
  link.bandwidth = BytesPerSecond(100e9);
  link.operation_latency = Seconds(10e-6);
  const auto us = [](Seconds time) { return 1e6 * time.value(); };
  EXPECT_NEAR(us(all_reduce_time(link, 2, Bytes(1e6))), 10 + 10, 1e-9);    // one shot
  EXPECT_NEAR(us(all_reduce_time(link, 8, Bytes(1e4))), 10 + 0.7, 1e-9);   // one shot
  EXPECT_NEAR(us(all_reduce_time(link, 8, Bytes(1e6))), 20 + 17.5, 1e-9);  // two
  EXPECT_NEAR(us(all_gather_time(link, 4, Bytes(1e6))), 10 + 7.5, 1e-9);
  EXPECT_NEAR(us(all_to_all_time(link, 4, Bytes(1e6))), 10 + 7.5, 1e-9);
  EXPECT_NEAR(us(send_time(link, Bytes(1e6))), 10 + 10, 1e-9);
}

TEST(CollectiveOfDevices, MoreBytesAndMoreDevicesNeverTakeLess) {
  for (const char* id : {"h100-sxm", "b200", "rtx-pro-6000", "rtx-3090"}) {
    const Link link = peer_of(id);
    for (int n = 2; n < 8; ++n) {
      Seconds before;
      for (const double size : kSizes) {
        const Seconds time = all_reduce_time(link, n, Bytes(size));
        EXPECT_GT(time, before) << id << ' ' << size;
        EXPECT_GE(time, link.operation_latency);
        EXPECT_LE(time, all_reduce_time(link, n + 1, Bytes(size))) << id << ' ' << size << ' ' << n;
        EXPECT_LE(all_gather_time(link, n, Bytes(size)), time + Seconds(1e-12));
        before = time;
      }
    }
  }
}

// Measurements that no number of the files was taken from (the best of vLLM's ways, H100, bf16:
// vllm pull request 24111; NCCL, eight RTX PRO 6000 at 256 KiB).
TEST(CollectiveOfDevices, AgreesWithOtherMeasurements) {
  const Link h100 = peer_of("h100-sxm");
  const auto us = [&](int n, double mib) {
    return 1e6 * all_reduce_time(h100, n, Bytes(mib * kMiB)).value();
  };
  EXPECT_NEAR(us(4, 1), 14, 0.2 * 14);
  EXPECT_NEAR(us(4, 4), 25, 0.25 * 25);
  EXPECT_NEAR(us(6, 0.5), 13, 0.2 * 13);
  EXPECT_NEAR(us(6, 2), 21, 0.25 * 21);
  EXPECT_NEAR(us(6, 4), 31, 0.25 * 31);
  EXPECT_NEAR(1e6 * all_reduce_time(peer_of("rtx-pro-6000"), 8, Bytes(256 * kKiB)).value(), 28,
              1.1 * 28);
}

TEST(CollectiveOfDevices, NoLinkBetweenBoxesIsNamedWithTheWayOut) {
  const std::string path = TINDERBOX_SOURCE_DIR "/data/machines/rtx-3090.toml";
  const Machine card = parse_machine(read_file(path), "rtx-3090");
  EXPECT_EQ(link_of_boxes(card, "peer").name, "peer");
  try {
    link_of_boxes(card, "");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Error::Code::Unsupported);
    EXPECT_NE(std::string(error.what()).find("--machine rtx-3090-x2 --parallel tp2"),
              std::string::npos);
  }
}

TEST(ParallelOfDevices, AllOfThemOrRefused) {
  EXPECT_EQ(parallel_of_devices("tp8", 8), (Parallel{.tp = 8}));
  EXPECT_EQ(parallel_of_devices("pp", 2), (Parallel{.pp = 2}));
  EXPECT_EQ(parallel_of_devices("tp", 4), (Parallel{.tp = 4}));
  EXPECT_EQ(parallel_of_devices("tp2+pp2", 4).boxes(), 4);
  EXPECT_THROW(parallel_of_devices("tp4", 8), Error);
  EXPECT_THROW(parallel_of_devices("tq", 2), Error);
  EXPECT_THROW(parallel_of_devices("tp", 16), Error);
}

TwinModel devices(std::string_view ways) {
  TwinModel twin = round_twin();
  Link peer;
  peer.name = "peer";
  peer.bandwidth = BytesPerSecond(50e9);
  peer.operation_latency = Seconds(10e-6);
  twin.machine.links.push_back(peer);
  twin.stack.price.sync_time = 1;  // of a network: none in a box
  twin.link = "peer";
  twin.parallel = parse_parallel(ways, std::nullopt, "tp");
  return twin;
}

TEST(DevicesOfOneBox, CommunicateWithoutTheNetworksStart) {
  const StepModel one(round_twin()), two(devices("tp2"));
  const std::vector<Segment> step{{.n_past = 100, .n_new = 1}};
  const ModelConfig model = dense_model();
  const StepCost cost = two.price(step);
  const double row = model.d_model * two.twin().stack.activation_bytes;
  const double reduces = (2.0 * model.n_layers + 1) * (10e-6 + row / 50e9);
  const double gather = 10e-6 + 0.5 * model.n_vocab * two.twin().stack.activation_bytes / 50e9;
  EXPECT_NEAR(cost.communication.value(), reduces + gather, 1e-12);
  EXPECT_LT(cost.time, one.price(step).time);
}

// A queue of each device: a chunk that more follow takes a stage's time, though the stack keeps the
// stages of several boxes waiting; one stream's decode passes through them one after the other.
TEST(DevicesOfOneBox, StagesOverlapOnPrompts) {
  const StepModel one(round_twin()), two(devices("pp2"));
  ASSERT_FALSE(two.twin().stack.overlaps_stages);
  const std::vector<Segment> chunk{{.n_past = 0, .n_new = 512, .samples = false}},
      last{{.n_past = 0, .n_new = 512, .samples = true}}, decode{{.n_past = 100, .n_new = 1}};
  const double sent =
      10e-6 + 512 * dense_model().d_model * one.twin().stack.activation_bytes / 50e9;
  EXPECT_NEAR(two.price(chunk).time.value(), (one.price(chunk).time.value() + sent) / 2, 1e-9);
  EXPECT_NEAR(two.price(last).time.value(), one.price(last).time.value() + sent, 1e-9);
  EXPECT_GT(two.price(decode).time, one.price(decode).time);
  EXPECT_LT(two.price(decode).time, one.price(decode).time + Seconds(20e-6));
}

TEST(DevicesOfOneBox, EachHoldsItsPart) {
  const StepModel one(round_twin());
  for (const char* ways : {"tp2", "pp2"}) {
    const Footprint part = StepModel(devices(ways)).footprint();
    EXPECT_GT(part.weights, one.footprint().weights * 0.49) << ways;
    EXPECT_LT(part.weights, one.footprint().weights * 0.6) << ways;
  }
}

}  // namespace
}  // namespace tinderbox
