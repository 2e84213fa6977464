#include "cli/smi.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"

namespace tinderbox::cli {
namespace {

const SmiFacts kFacts = {.name = "NVIDIA GB10", .uuid = "GPU-1", .bus = "0000000F:01:00.0", .driver = "580.142",
                         .timestamp = "2026/11/27 18:05:07.250"};

BoxState busy() {
  return parse_box_state(
      read_file(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "tests/fuzz/corpus/state/busy.json"));
}

TEST(Smi, AnswersAsNvidiaSmiDoes) {
  const std::string query = "index, name,temperature.gpu,power.draw,utilization.gpu,clocks.sm,memory.used,fan.speed";
  EXPECT_EQ(smi_csv(busy(), kFacts, query, parse_smi_format("csv")),
            "index, name, temperature.gpu, power.draw [W], utilization.gpu [%], clocks.sm [MHz], memory.used [MiB], "
            "fan.speed [%]\n"
            "0, NVIDIA GB10, 71, 38.40 W, 96 %, 2418 MHz, [N/A], [N/A]\n");
  EXPECT_EQ(smi_csv(busy(), kFacts, query, parse_smi_format("csv,noheader,nounits")),
            "0, NVIDIA GB10, 71, 38.40, 96, 2418, [N/A], [N/A]\n");
}

TEST(Smi, ACardAnswersForItsMemory) {
  BoxState card = busy();
  card.sensors.reset();
  card.memory = BoxState::Memory{.total_bytes = 32 * 1048576.0, .weights_bytes = 3 * 1048576.0, .kv_bytes = 1048576.0};
  EXPECT_EQ(smi_csv(card, kFacts, "memory.total,memory.used,memory.free,power.draw", {.header = false}),
            "32 MiB, 4 MiB, 28 MiB, [N/A]\n");
}

TEST(Smi, NamesAreThoseOfTheMetrics) {
  const SmiFacts facts = smi_facts(
      "# TYPE DCGM_FI_DEV_SM_CLOCK gauge\n"
      "DCGM_FI_DEV_SM_CLOCK{gpu=\"0\",UUID=\"GPU-1\",pci_bus_id=\"0F\",device=\"nvidia0\","
      "modelName=\"NVIDIA GB10\",Hostname=\"h\",DCGM_FI_DRIVER_VERSION=\"580\"} 208\nother 1\n");
  EXPECT_EQ(facts.name, "NVIDIA GB10");
  EXPECT_EQ(facts.uuid, "GPU-1");
  EXPECT_EQ(facts.bus, "0F");
  EXPECT_EQ(facts.driver, "580");
  EXPECT_EQ(smi_facts("vllm:x 1\n").name, "");
  EXPECT_EQ(smi_facts("\nDCGM_FI_X{UUID=\"cut").uuid, "cut");
}

TEST(Smi, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(smi_csv(busy(), kFacts, "temperature.gpq", {}), Error);
  EXPECT_THROW(smi_csv(busy(), kFacts, "", {}), Error);
  EXPECT_THROW(parse_smi_format("noheader"), Error);
  EXPECT_THROW(parse_smi_format("csv,xml"), Error);
}

}  // namespace
}  // namespace tinderbox::cli
