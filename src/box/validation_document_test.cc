#include "box/validation_document.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"
#include "box/markdown.h"

namespace tinderbox {
namespace {

const std::string kData = std::string(TINDERBOX_SOURCE_DIR) + "/data/";

struct Catalogues {
  Catalogue machines = Catalogue::from_folder("machine", kData + "machines", ".toml");
  Catalogue stacks = Catalogue::from_folder("stack", kData + "stacks", ".toml");
  Catalogue models = Catalogue::from_folder("model", kData + "models", ".json");
  Catalogue speculation = Catalogue::from_folder("speculation", kData + "speculation", ".toml");
  TwinCatalogues resources() const { return {machines, stacks, models, nullptr, &speculation}; }
};
const Catalogues& catalogues() {
  static const Catalogues all;
  return all;
}

using Cells = std::map<std::string, std::string>;
Cells row_of(const Cells& changes) {
  Cells row{{"id", "r"},           {"group", "g"},      {"value", "40"},
            {"unit", "tokens/s"},  {"machine", "dgx-spark"}, {"nodes", "1"},
            {"stack_norm", "llama.cpp"}, {"base", "llama-3.1-8b"}, {"weights_norm", "q4_k_m"},
            {"test", "decode"},    {"metric", "tok_per_s"}, {"gen_tokens", "32"},
            {"depth", "0"},        {"ctx_start", "0"},  {"concurrency", "1"},
            {"spec", "none"},      {"quality", "A"},    {"source", "https://one.example/a"},
            {"locator", ""},       {"notes", ""},       {"prompt_tokens", ""},
            {"kv_norm", ""},       {"arrival_req_per_s", ""}};
  for (const auto& [column, cell] : changes) row[column] = cell;
  return row;
}

Csv csv_of(const std::vector<Cells>& rows) {
  std::vector<std::string> columns;
  for (const auto& [column, cell] : row_of({})) columns.push_back(column);
  std::string text = format("{}\n", fmt::join(columns, ","));
  for (const Cells& row : rows) {
    std::vector<std::string> cells;
    for (const std::string& column : columns) cells.push_back(csv_field(row.at(column)));
    text += format("{}\n", fmt::join(cells, ","));
  }
  return Csv::parse(text, "test.csv");
}

const std::string kHostile = "<script>|x|\n`[a](javascript:b) \xFF";

// Two sources, two models, speculation, a refusal, hostile cells; memory in a file of its own.
const Validation& validation() {
  static const Validation v = validate_all(
      {{"inference.csv",
        csv_of({row_of({{"id", "a1"}, {"group", "one.a"}}),
                row_of({{"id", "a2"}, {"group", "one.a"}, {"value", "44"}, {"depth", "4096"}, {"ctx_start", "4096"}}),
                row_of({{"id", "b"}, {"group", "one.b"}, {"base", "qwen3-8b"}, {"value", "30"}}),
                row_of({{"id", "c"}, {"group", "two.c"}, {"source", "https://two.example/"}, {"value", "300"}}),
                row_of({{"id", "d"}, {"group", "two.d"}, {"source", "https://two.example/"}, {"test", "prefill"},
                        {"prompt_tokens", "2048"}, {"gen_tokens", ""}, {"value", "2000"}}),
                row_of({{"id", "s"}, {"group", "two.s"}, {"spec", "mtp"}}),
                row_of({{"id", kHostile}, {"group", kHostile}, {"source", kHostile}, {"value", "2"},
                        {"unit", kHostile}}),
                row_of({{"id", "u"}, {"group", kHostile + "u"}, {"base", kHostile}, {"quality", "B"}})}), true},
       {"memory.csv", csv_of({row_of({{"id", "m"}, {"group", "m"}, {"test", "memory"},
                                      {"metric", "memory_gb"}, {"value", "9"}, {"prompt_tokens", "512"}})}), false}},
      catalogues().resources());
  return v;
}

std::string document(const Validation& v, const DocumentOptions& options = {}) {
  return validation_document(v, catalogues().resources(), options);
}

// Cells of a table's line; an escaped bar is no end of a cell.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  for (std::size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '|' && line[i - 1] != '\\') {
      cells.back() = std::string(trim(cells.back()));
      cells.emplace_back();
    } else {
      cells.back() += line[i];
    }
  }
  cells.pop_back();
  return cells;
}

TEST(ValidationDocument, SameDataSameBytes) {
  EXPECT_EQ(document(validation()), document(validation()));
  const auto one = validation_plots(validation()), other = validation_plots(validation());
  ASSERT_EQ(one.size(), 7U);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i].svg, other[i].svg) << one[i].name;
}

// The rows of every table of slices add up to all rows, and tables are rectangular.
TEST(ValidationDocument, SlicesAddUp) {
  const Validation& v = validation();
  std::int64_t predicted = 0;
  for (const PublishedRow& row : v.rows) predicted += row.predicted ? 1 : 0;
  ASSERT_GT(predicted, 4);
  int tables = 0;
  std::size_t width = 0, at_rows = 0;
  std::int64_t sum = 0, sum_all = 0;
  bool slicing = false;
  for (const std::string& line : split(document(v) + "\n### By", '\n')) {
    if (line.starts_with("#")) {
      if (slicing) {
        ++tables;
        EXPECT_EQ(sum, predicted) << "before " << line;
        EXPECT_EQ(sum_all, static_cast<std::int64_t>(v.rows.size())) << "before " << line;
      }
      slicing = line.starts_with("### By");
      sum = sum_all = 0;
    }
    if (!line.starts_with("|")) {
      width = 0;
      continue;
    }
    const std::vector<std::string> cells = cells_of(line);
    if (width == 0) {
      width = cells.size();
      at_rows = static_cast<std::size_t>(std::ranges::find(cells, "rows") - cells.begin());
    }
    EXPECT_EQ(cells.size(), width) << line;
    if (!slicing || cells[0] == "---" || cells.at(at_rows) == "rows") continue;
    const auto counts = split(cells[at_rows], '/');
    ASSERT_EQ(counts.size(), 2U) << line;
    sum += *parse_int(counts[0]);
    sum_all += *parse_int(counts[1]);
  }
  EXPECT_EQ(tables, 7);
}

TEST(ValidationDocument, LeftOutPredictionsAreThoseOfCalibrate) {
  const Validation& v = validation();
  const Catalogues& all_of = catalogues();
  const Calibration calibration =  // as `tinderbox calibrate`, which fits speculation apart
      calibrate(v.files[0].rows, {all_of.machines, all_of.stacks, all_of.models, nullptr, nullptr},
                {.leave_out = LeaveOut::Source});
  ASSERT_FALSE(calibration.rows.empty());
  for (const CalibratedRow& row : calibration.rows)
    EXPECT_EQ(v.rows[row.index].prediction(FitOf::WithoutSource), row.left_out);
  // Eight rows give other numbers than the four thousand that the stacks are fitted to.
  EXPECT_TRUE(v.stale);
  EXPECT_NE(document(v).find("not what calibration finds"), std::string::npos);
  const auto speculating = std::ranges::find(v.rows, "s", &PublishedRow::id);
  EXPECT_TRUE(speculating->predicted);
  EXPECT_FALSE(speculating->without_source);
  const PublishedRow& memory = v.rows.back();
  ASSERT_TRUE(memory.predicted);
  EXPECT_EQ(memory.prediction(FitOf::WithoutModel), memory.predicted);
  EXPECT_EQ(memory.kind, RowKind::Memory);
  // The interval keeps its proportions around a prediction that was left out.
  const Sample all = v.rows[0].sample(FitOf::AllRows), out = v.rows[0].sample(FitOf::WithoutSource);
  EXPECT_NE(all.predicted, out.predicted);
  EXPECT_NEAR(all.low / all.predicted, out.low / out.predicted, 1e-12);
}

TEST(ValidationDocument, WorstGroupsComeFirstWithADiagnosis) {
  const Validation& v = validation();
  const auto rows = where(v.rows, [](const PublishedRow&) { return true; });
  const auto worst = worst_groups(rows, FitOf::WithoutSource, 3);
  ASSERT_EQ(worst.size(), 3U);
  EXPECT_EQ(worst[0].row->group, kHostile) << "2 tokens/s of some 40";
  EXPECT_GE(worst[0].error, worst[1].error);
  EXPECT_GE(worst[1].error, worst[2].error);
  const std::string text = document(v);
  EXPECT_NE(text.find("bound by"), std::string::npos);
  const std::string written =
      document(v, {.diagnoses = {{"two.", "Wrong."}, {"two.c", "A typing | error."}}, .own_engine = "## Engine\n"});
  EXPECT_EQ(text.find("A typing"), std::string::npos);
  EXPECT_NE(written.find("A typing \\| error."), std::string::npos);
  EXPECT_EQ(written.find("*Wrong.*", written.find("A typing") - 300), written.find("*Wrong.*"));
  EXPECT_NE(written.find("## Engine\n"), std::string::npos);
}

TEST(ValidationDocument, CellsStayText) {
  const std::string text = document(validation());
  EXPECT_EQ(text.find("<script"), std::string::npos);
  for (std::size_t at = text.find("](j"); at != std::string::npos; at = text.find("](j", at + 1))
    EXPECT_EQ(text[at - 1], '\\') << "a link from a cell";
  EXPECT_EQ(text.find('\xFF'), std::string::npos);
  for (const PlotFile& plot : validation_plots(validation())) {
    EXPECT_EQ(plot.svg.find("<script"), std::string::npos);
    EXPECT_EQ(plot.svg.find('\xFF'), std::string::npos);
  }
  EXPECT_EQ(markdown_link("x", "https://a.b/c?d=1"), "[x](https://a.b/c?d=1)");
  for (const char* bad : {"javascript:a", "https://a.b/)c", "https://a b", "https://a\n"})
    EXPECT_EQ(markdown_link("x", bad).find("]("), std::string::npos) << bad;
  EXPECT_EQ(markdown_text("tok_per_s _a_ *b*"), "tok_per_s \\_a\\_ \\*b\\*");
}

TEST(ValidationDocument, NothingIsADocument) {
  const Validation none = validate_all({{"inference.csv", csv_of({}), true}}, catalogues().resources());
  EXPECT_NE(document(none).find("No group is predicted"), std::string::npos);
  EXPECT_EQ(validation_plots(none).size(), 7U);
  EXPECT_NE(document(Validation{}).find("# Validation"), std::string::npos);
}

// More rows than a plot should hold are drawn as their groups.
TEST(ValidationDocument, ManyRowsAreDrawnAsGroups) {
  Validation v{.files = {}, .rows = {}};
  const auto dots = [&](int n_rows) {
    v.rows.clear();
    for (int i = 0; i < n_rows; ++i) {
      PublishedRow& row = v.rows.emplace_back();
      row.id = format("row{}", i);
      row.group = format("group{}", i % 9);
      row.stack = "vllm";
      row.kind = RowKind::Decode;
      row.measured = 1 + i;
      row.predicted = 1.1 + i;
    }
    const std::string svg = validation_plots(v).front().svg;
    EXPECT_LT(svg.size(), 300'000U);
    std::size_t n = 0;
    for (std::size_t at = svg.find("<title>"); at != std::string::npos; at = svg.find("<title>", at + 1)) ++n;
    EXPECT_NE(svg.find(n == 9 ? "A dot a group" : "A dot a row"), std::string::npos);
    return n;
  };
  EXPECT_EQ(dots(100), 100U);
  EXPECT_EQ(dots(4000), 9U);
}

TEST(ValidationDocument, PredictionsStandBesideMeasurements) {
  const std::string table = predictions_beside_measurements(validation(), {"d", "a1"});
  const auto lines = split(table, '\n');
  ASSERT_EQ(lines.size(), 5U);  // header, rule, two rows, the end
  EXPECT_NE(lines[2].find("| 2000 tokens/s |"), std::string::npos) << table;
  EXPECT_NE(lines[2].find("[two.example](https://two.example/)"), std::string::npos) << table;
  EXPECT_THROW(predictions_beside_measurements(validation(), {"nothing"}), Error);
  EXPECT_THROW(predictions_beside_measurements(validation(), {"u"}), Error) << "refused";
}

TEST(Diagnosis, ReadsTheFileAndNamesTheLine) {
  const auto list = parse_diagnoses("# none yet\n[[diagnosis]]\ngroup = \"a.b\"\ntext = \"T.\"\n", "x.toml");
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(find_diagnosis(list, "a.b.c"), &list[0]);
  EXPECT_EQ(find_diagnosis(list, "a"), nullptr);
  EXPECT_TRUE(parse_diagnoses("", "x.toml").empty());
  for (const char* bad : {"\ndiagnosis = 1\n", "\n[[other]]\n", "\n[[diagnosis]]\ngroup = \"a\"\n",
                          "\n[[diagnosis]]\ngroup = \"a\"\ntext = 3\n", "\n[[diagnosis]\n",
                          "\n[[diagnosis]]\ngroup = \"a\"\ntext = \"b\"\nmore = 1\n"}) {
    try {
      parse_diagnoses(bad, "x.toml");
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("x.toml:2"), std::string::npos) << error.what();
    }
  }
}

TEST(Markdown, SectionsAreReplaced) {
  const std::string text = "a\n<!-- p -->\nold\n<!-- /p -->\nb\n";
  EXPECT_EQ(with_section(text, "p", "new\n", "f"), "a\n<!-- p -->\nnew\n<!-- /p -->\nb\n");
  for (const char* bad : {"", "<!-- p -->\n", "<!-- /p -->\n<!-- p -->\n",
                          "<!-- p -->\n<!-- p -->\n<!-- /p -->\n"})
    EXPECT_THROW(with_section(bad, "p", "", "f"), Error) << bad;
}

TEST(Score, OnlyIntervalsThatExistAreCounted) {
  EXPECT_EQ(score(std::vector<Sample>{{"g", 10, 11, 0, 0}}).intervals, 0);
  const Score s = score(std::vector<Sample>{{"g", 10, 11, 9, 12}, {"g", 10, 20, 15, 30}, {"h", 10, 10, 0, 0}});
  EXPECT_EQ(s.intervals, 2);
  EXPECT_DOUBLE_EQ(s.interval_coverage, 0.5);
  EXPECT_EQ(s.groups, 2);
  EXPECT_EQ(score(std::vector<Sample>{}).groups, 0);
}

}  // namespace
}  // namespace tinderbox
