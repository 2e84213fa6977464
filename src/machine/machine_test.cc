#include "machine/machine.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "base/text.h"
#include "machine/sourced.h"

namespace tinderbox {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines";

std::string spark() { return read_file(kFolder / "dgx-spark.toml"); }

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

// The message of the refusal, or "" if the file was taken.
std::string refusal(const std::string& toml) {
  try {
    parse_machine(toml, "m.toml");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_words(const std::string& message, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << "no '" << word << "' in: " << message;
  }
}

TEST(Machine, DgxSparkHasTheRecommendedParameters) {
  const Machine m = parse_machine(spark(), "dgx-spark.toml");
  EXPECT_EQ(m.n_units, 48);
  EXPECT_DOUBLE_EQ(m.memory_bandwidth.value(), 273e9);
  EXPECT_DOUBLE_EQ(m.memory_read_bandwidth.value(), 240e9);
  EXPECT_DOUBLE_EQ(m.memory_visible.value(), 121.69 * kGiB);
  EXPECT_DOUBLE_EQ(m.memory_freeze.value(), 113 * kGiB);
  EXPECT_DOUBLE_EQ(m.memory_system.value(), 4.9 * kGiB);
  EXPECT_DOUBLE_EQ(m.l2_size.value(), 24 * kMiB);
  EXPECT_DOUBLE_EQ(m.kernel_launch.value(), 5e-6);
  EXPECT_DOUBLE_EQ(m.power_module_limit.value(), 140);
  EXPECT_DOUBLE_EQ(m.power_load.value(), 156);
  EXPECT_DOUBLE_EQ(m.price_usd, 4699);
  EXPECT_EQ(m.scope, Scope::Box);
  EXPECT_EQ(m.stacks, (std::vector<std::string>{"llama.cpp", "vllm"}));
  ASSERT_EQ(m.links.size(), 10u);
  EXPECT_EQ(m.links[0].name, "rail");
  EXPECT_DOUBLE_EQ(m.links[0].bandwidth.value(), 109e9 / 8);
  EXPECT_EQ(m.links[1].name, "two-rails");
  EXPECT_EQ(m.usual_link, "two-rails");
}

TEST(Machine, LinksHaveCurvesAndStates) {
  const Machine m = parse_machine(spark(), "dgx-spark.toml");
  const Link& healthy = m.links[1];
  const Curve& curve = healthy.all_reduce;
  ASSERT_GE(curve.points.size(), 3u);
  EXPECT_EQ(curve.at(Bytes(1)), curve.points[0].second);  // the floor
  for (const auto& [size, time] : curve.points) {
    EXPECT_DOUBLE_EQ(curve.at(size).value(), time.value());
  }
  const auto& [low, low_time] = curve.points[0];
  const auto& [high, high_time] = curve.points[1];
  EXPECT_DOUBLE_EQ(curve.at((low + high) / 2).value(), ((low_time + high_time) / 2).value());
  const auto& [last, last_time] = curve.points.back();
  EXPECT_DOUBLE_EQ(curve.at(last * 3).value(), 3 * last_time.value());
  EXPECT_FALSE(m.links[2].joins_boxes());  // host-to-device
  EXPECT_EQ(m.links.back().state_of, "two-rails");
  EXPECT_EQ(m.links.back().all_reduce.points, curve.points);

  const std::string good = spark();
  expect_words(refusal(replaced(good, "state_of = \"two-rails\"", "state_of = \"two-rail\"")),
               {"links.mtu-1500.state_of", "two-rail"});
  expect_words(refusal(replaced(good, "usual_link = \"two-rails\"", "usual_link = \"chip-to-chip\"")),
               {"network.usual_link", "all_reduce_time", "chip-to-chip"});
  expect_words(refusal(replaced(good, "\"16 KiB\" = { value = \"34", "\"2 KiB\" = { value = \"34")),
               {"links.rail.all_reduce_time", "grow"});
  expect_words(refusal(replaced(good, "\"16 KiB\" = { value = \"34", "\"16 us\" = { value = \"34")),
               {"links.rail.all_reduce_time", "16 us"});
}

TEST(Machine, NarrowerArithmeticIsFasterByTheMeasuredRatios) {
  const Machine m = parse_machine(spark(), "dgx-spark.toml");
  const double bf16 = m.peak(MathType::F16, m.clock_heavy).value();
  EXPECT_DOUBLE_EQ(m.peak(MathType::FP8, m.clock_heavy).value(), 2 * bf16);
  EXPECT_DOUBLE_EQ(m.peak(MathType::FP4, m.clock_heavy).value(), 4 * bf16);
  EXPECT_NEAR(bf16, 48 * 1024 * 2.15e9, 1);
  // The measured matrix multiply must lie below the peak it is a share of.
  EXPECT_GT(bf16, 95e12);
}

TEST(Machine, FactsKeepTheirOrder) {
  const Machine m = parse_machine(spark(), "dgx-spark.toml");
  EXPECT_GT(m.facts.size(), 300u);
  EXPECT_EQ(m.facts.front().key, "cpu.n_cores");
  EXPECT_EQ(fact_kind_name(FactKind::Derived), "derived");
}

// One line of the file is one number; each loses its unit, its kind and its source in turn.
class LostPart : public testing::TestWithParam<std::string> {};

TEST_P(LostPart, OfAnyNumberIsRefusedWithFileLineAndKey) {
  const std::vector<std::string> lines = split(spark(), '\n');
  std::string section;
  int n = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].starts_with("[")) section = lines[i].substr(1, lines[i].find(']') - 1);
    if (lines[i].find("{ value = ") == std::string::npos) continue;
    std::vector<std::string> changed = lines;
    std::string& line = changed[i];
    const std::string& part = GetParam();
    if (part == "unit") {
      const std::size_t quote = line.find("value = \"");
      if (quote == std::string::npos) continue;  // counts and ratios have none
      const std::size_t begin = quote + 9, end = line.find('"', begin);
      const std::size_t unit = line.find_first_not_of("-0123456789.", begin);
      line.erase(unit, end - unit);
    } else {
      const std::size_t begin = line.find(", " + part + " = \""),
                        end = line.find('"', begin + part.size() + 6);
      line.erase(begin, end + 1 - begin);
    }
    std::string text;
    for (const std::string& l : changed) text += l + "\n";
    const std::string key = lines[i].substr(0, lines[i].find(" = "));
    expect_words(refusal(text), {format("m.toml:{}: {}.{}: ", i + 1, section, key)});
    ++n;
  }
  EXPECT_GT(n, 290);
}
INSTANTIATE_TEST_SUITE_P(Machine, LostPart, testing::Values("unit", "kind", "source"));

TEST(Machine, SaysWhatWasExpected) {
  const std::string good = spark();
  expect_words(refusal(replaced(good, "\"273 GB/s\"", "\"273\"")),
               {"m.toml:", "memory.bandwidth", "unit"});
  expect_words(refusal(replaced(good, "\"273 GB/s\"", "\"273 W\"")),
               {"memory.bandwidth", "bandwidth", "GB/s", "273 W"});
  expect_words(refusal(replaced(good, "\"273 GB/s\"", "273")),
               {"memory.bandwidth", "\"273 GB/s\""});
  expect_words(refusal(replaced(good, "\"273 GB/s\"", "\"-273 GB/s\"")),
               {"memory.bandwidth", "possible bandwidth"});
  expect_words(refusal(replaced(good, "value = 48,", "value = \"48 SMs\",")),
               {"gpu.n_units", "whole number"});
  expect_words(refusal(replaced(good, "value = 48,", "value = 48.5,")), {"gpu.n_units"});
  expect_words(refusal(replaced(good, "value = 48,", "value = 0,")), {"gpu.n_units", "from 1"});
  expect_words(refusal(replaced(good, "value = 0.72,", "value = nan,")),
               {"mxfp4_share", "possible share"});
  expect_words(refusal(replaced(good, "kind = \"claimed\"", "kind = \"climed\"")),
               {"cpu.n_cores", "'claimed'"});
  expect_words(refusal(replaced(good, "source = \"NVHW, CCM\"", "source = \"NVHW, CCN\"")),
               {"cpu.n_cores", "'CCN'", "CCM"});
  expect_words(refusal(replaced(good, "kind = \"claimed\"", "kinds = \"claimed\"")),
               {"cpu.n_cores", "'kinds'", "did you mean 'kind'"});
  expect_words(
      refusal(replaced(good, "size = { value = \"128 GiB\"", "size = { value = \"120 GiB\"")),
      {"memory.visible_size", "at most memory.size"});
  expect_words(refusal(replaced(good, "scope = \"box\"", "scope = \"rack\"")),
               {"scope", "\"part\"", "rack"});
  expect_words(refusal(replaced(good, "load = { value = \"156 W\"", "load = { value = \"15 W\"")),
               {"power.load", "at least power.idle (25 W)", "15 W"});
}

TEST(Machine, UnknownKeysNameTheNearest) {
  const std::string good = spark();
  expect_words(refusal(replaced(good, "\nlight_clock", "\nligth_clock")),
               {"gpu.light_clock", "no such key", "did you mean 'gpu.ligth_clock'"});
  expect_words(refusal(replaced(good, "\nheavy_clock", "\nheavy_clok")),
               {"gpu.heavy_clok", "measures", "'clock'"});
  expect_words(refusal(replaced(good, "[storage]", "[sturage]")), {"storage"});
  expect_words(refusal(replaced(good, "[chassis]", "[chasis]")),
               {"'chasis'", "did you mean 'chassis'"});
  expect_words(refusal(replaced(good, "\nname =", "\nnick = \"x\"\nname =")), {"m.toml:", "nick"});
  expect_words(refusal(replaced(good, "\"38 W\" =", "\"38\" =")), {"gpu.busy_clock"});
  expect_words(refusal(replaced(good, "[gpu]", "[gpu]\nextra_clock = 5")),
               {"gpu.extra_clock", "value", "kind", "source"});
  expect_words(refusal(replaced(
                   good, "\nid =",
                   "\nclock = { value = \"1 Hz\", kind = \"claimed\", source = \"FC\" }\nid =")),
               {"m.toml:", "clock", "section"});
}

TEST(Machine, RefusesWhatIsNoTomlAndWhatIsTooMuch) {
  expect_words(refusal("a = [\n1,\n"), {"m.toml:", "not valid TOML"});
  expect_words(refusal(""), {"m.toml", "sources"});
  expect_words(refusal("\xff\xfe"), {"m.toml:1"});
  expect_words(refusal(std::string(SourcedFile::kBytesMax + 1, ' ')), {"at most", "bytes"});
  // Deep nesting of any kind must not exhaust the stack.
  std::string dotted = "a", brackets = "a = ";
  for (int i = 0; i < 100000; ++i) dotted += ".a";
  brackets += std::string(100000, '[');
  expect_words(refusal(dotted + " = 1"), {"m.toml:1", "nesting"});
  expect_words(refusal("[" + dotted + "]"), {"nesting"});
  expect_words(refusal(brackets), {"nesting"});
  std::string wide = "[sources]\nS = { address = \"x\", date = \"y\" }\n[gpu]\n";
  for (std::size_t i = 0; i <= SourcedFile::kEntriesMax; ++i) wide += format("x{} = true\n", i);
  expect_words(refusal(wide), {"at most"});
}

// Any bytes give a machine or an Error: mutations of the real file, seeded.
TEST(Machine, MutatedFilesNeverCrash) {
  const std::string good = spark();
  const std::string alphabet = "[]{}=.,\"'#\n\\ 0a-_\xc3";
  int refused = 0;
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    Random random(7, Stream::Test, seed);
    std::string text = good;
    const auto at = [&] {
      return static_cast<std::size_t>(random.range(0, static_cast<std::int64_t>(text.size()) - 1));
    };
    for (std::int64_t i = random.range(1, 4); i > 0; --i) {
      switch (random.range(0, 3)) {
        case 0:
          text[at()] = alphabet[static_cast<std::size_t>(
              random.range(0, static_cast<std::int64_t>(alphabet.size()) - 1))];
          break;
        case 1:
          text.erase(at(), static_cast<std::size_t>(random.range(1, 40)));
          break;
        case 2:
          text.insert(
              at(), good.substr(at() % good.size(), static_cast<std::size_t>(random.range(1, 40))));
          break;
        default:
          text.resize(at() + 1);
          break;
      }
    }
    refused += refusal(text).empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace tinderbox
