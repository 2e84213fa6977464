#include "machine/sourced.h"

#include <array>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr std::array kNouns = {
    Noun{"share", Measure::Share},
    Noun{"time", Measure::Time},
};

SourcedFile parse(const std::string& line) {
  const std::string toml =
      format("[price]\n{}\n[sources]\nS = {{ address = \"a\", date = \"2026\" }}\n", line);
  return SourcedFile(toml, "s.toml", kNouns);
}

std::string refusal(const std::string& line) {
  try {
    parse(line);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Error::Code::Invalid);
    return error.what();
  }
  return "";
}

void expect_words(const std::string& message, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << "no '" << word << "' in: " << message;
  }
}

const std::string kShare =
    R"(disk_share = { value = 0.8, kind = "fitted", prior = 0.75, )"
    R"(spread = 0.3, error = 0.05, rows = 12, source = "S" })";
const std::string kTime =
    R"(step_time = { value = "2 ms", kind = "fitted", prior = "300 us", )"
    R"(spread = 1, error = 0, rows = 0, source = "S" })";

std::string without(const std::string& line, const std::string& attribute) {
  const std::size_t begin = line.find(" " + attribute + " = ");
  EXPECT_NE(begin, std::string::npos);
  return line.substr(0, begin) + line.substr(line.find(',', begin) + 1);
}
std::string with(const std::string& line, const std::string& attribute, const std::string& value) {
  const std::size_t begin = line.find(attribute + " = ") + attribute.size() + 3;
  return line.substr(0, begin) + value + line.substr(line.find_first_of(",}", begin));
}

TEST(FittedNumber, CarriesPriorSpreadErrorAndRows) {
  SourcedFile file = parse(kShare + "\n" + kTime);
  EXPECT_EQ(file.share("price.disk_share", 0, 1), 0.8);
  EXPECT_DOUBLE_EQ(file.seconds("price.step_time").value(), 2e-3);
  const std::vector<Fact> facts = file.facts();
  ASSERT_EQ(facts.size(), 2U);
  for (const Fact& fact : facts) {
    EXPECT_EQ(fact.kind, FactKind::Fitted);
    ASSERT_TRUE(fact.fit.has_value());
  }
  EXPECT_EQ(facts[0].fit->prior, 0.75);
  EXPECT_EQ(facts[0].fit->spread, 0.3);
  EXPECT_EQ(facts[0].fit->error, 0.05);
  EXPECT_EQ(facts[0].fit->n_rows, 12);
  EXPECT_EQ(facts[0].text, "0.8");
  EXPECT_DOUBLE_EQ(facts[1].fit->prior, 300e-6);  // in base units, as the value
  EXPECT_EQ(facts[1].text, "2 ms");
}

TEST(FittedNumber, NeedsAllFour) {
  for (const char* attribute : {"prior", "spread", "error", "rows"}) {
    expect_words(refusal(without(kShare, attribute)),
                 {"s.toml:2: price.disk_share", attribute, "is missing"});
    expect_words(refusal(without(kTime, attribute)),
                 {"s.toml:2: price.step_time", attribute, "is missing"});
  }
}

TEST(FittedNumber, OtherKindsMayNotHaveThem) {
  for (const char* kind : {"measured", "claimed", "derived", "assumed"}) {
    const std::string other = with(kShare, "kind", format("\"{}\"", kind));
    expect_words(refusal(other), {"s.toml:2: price.disk_share", "prior is there"});
    std::string plain = other;
    for (const char* attribute : {"prior", "spread", "error", "rows"}) {
      plain = without(plain, attribute);
    }
    EXPECT_EQ(refusal(plain), "");
    EXPECT_FALSE(parse(plain).facts()[0].fit.has_value());
  }
}

TEST(FittedNumber, PriorIsAQuantityOfTheSameMeasureAboveZero) {
  expect_words(refusal(with(kTime, "prior", "\"300 MB\"")), {"price.step_time", "300 MB"});
  expect_words(refusal(with(kTime, "prior", "300")), {"price.step_time", "prior", "unit"});
  expect_words(refusal(with(kTime, "prior", "\"300\"")), {"price.step_time"});
  expect_words(refusal(with(kTime, "prior", "\"0 s\"")), {"price.step_time", "above 0"});
  expect_words(refusal(with(kShare, "prior", "0")), {"price.disk_share", "above 0"});
  EXPECT_NE(refusal(with(kShare, "prior", "-0.5")), "");
  EXPECT_NE(refusal(with(kShare, "prior", "true")), "");
  EXPECT_NE(refusal(with(kShare, "prior", "nan")), "");
}

TEST(FittedNumber, TheRestArePlainNumbersWithinLimits) {
  for (const char* attribute : {"spread", "error", "rows"}) {
    for (const char* wrong : {"-1", "1e10", "\"0.1\"", "nan", "true"}) {
      expect_words(refusal(with(kShare, attribute, wrong)),
                   {"s.toml:2: price.disk_share", attribute, "a number from 0 to"});
    }
    EXPECT_EQ(refusal(with(kShare, attribute, "1")), "");
    EXPECT_EQ(refusal(with(kShare, attribute, "0")), "");
  }
}

}  // namespace
}  // namespace tinderbox
