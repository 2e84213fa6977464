// twin_compare TINDERBOX MODEL.gguf [--write] [--seconds N]: predicts `tinderbox bench` from `tinderbox probe` on this
// computer and prints prediction beside measurement, for the given model and for random weights in the shapes of models
// of half a billion and of a billion parameters. --write puts the result into data/own-engine.csv. Not a test: timings.
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <tuple>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "box/own_engine.h"
#include "engine/test_weights.h"
#include "model/gguf.h"
#include "model/gguf_writer.h"
#include "model/graph.h"
#include "model/weight_format.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kRounds = 3;       // of every model, the best counts
constexpr int kRepetitions = 3;  // in each

struct Subject {
  std::string name, weights;
  fs::path file;
};

std::string run(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw_invalid(format("cannot run {}", command));
  std::string out;
  std::array<char, 4096> buffer{};
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), n);
  if (::pclose(pipe) != 0) throw_invalid(format("{} failed", command));
  return out;
}

std::string shell_word(const fs::path& path) { return format("'{}'", path.string()); }

ModelConfig llama_shape(const std::string& id, int n_layers, int d_model, int n_heads, int n_kv_heads, int d_ff) {
  ModelConfig m;
  m.id = id;
  m.family = "llama";
  m.n_layers = n_layers;
  m.d_model = d_model;
  m.n_heads = n_heads;
  m.n_kv_heads = n_kv_heads;
  m.head_dim = d_model / n_heads;
  m.d_ff = d_ff;
  m.n_vocab = 32000;
  m.n_ctx = 2048;
  return m;
}

void add_vocabulary(GgufWriter& out, int n_vocab) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<std::int32_t> types = {2, 3, 3};
  std::vector<float> scores(static_cast<std::size_t>(n_vocab), 0.0f);
  for (int i = 3; i < n_vocab; ++i) {
    tokens.push_back(format("t{}", i));
    types.push_back(1);
  }
  out.add("tokenizer.ggml.model", "llama");
  out.add("tokenizer.ggml.tokens", tokens);
  out.add("tokenizer.ggml.token_type", types);
  out.add("tokenizer.ggml.scores", scores);
  out.add("tokenizer.ggml.bos_token_id", std::uint32_t{1});
  out.add("tokenizer.ggml.eos_token_id", std::uint32_t{2});
  out.add("tokenizer.ggml.unknown_token_id", std::uint32_t{0});
}

// A file with random weights; rows repeat, because arithmetic takes as long whatever it multiplies.
void write_random(const fs::path& file, const ModelConfig& m, const std::string& weights) {
  const auto u32 = [](int n) { return static_cast<std::uint32_t>(n); };
  GgufWriter out;
  out.add("general.architecture", "llama");
  out.add("llama.block_count", u32(m.n_layers));
  out.add("llama.context_length", u32(m.n_ctx));
  out.add("llama.embedding_length", u32(m.d_model));
  out.add("llama.feed_forward_length", u32(m.d_ff));
  out.add("llama.attention.head_count", u32(m.n_heads));
  out.add("llama.attention.head_count_kv", u32(m.n_kv_heads));
  out.add("llama.rope.dimension_count", u32(m.head_dim));
  out.add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  add_vocabulary(out, m.n_vocab);
  const Graph graph = build_step(m, weight_format(weights, WeightFile::Gguf, kind_of(m)), DType::F16, {{0, 1, true}});
  Random random(1, Stream::Test);
  for (const Value& v : graph.values) {
    if (v.role != Role::Weight) continue;
    const double spread = 1.0 / std::sqrt(static_cast<double>(v.cols));
    const std::int64_t n_rows = std::min<std::int64_t>(v.rows, 8);
    const std::vector<std::byte> some = test::random_weights(v.dtype, n_rows, v.cols, spread, random);
    std::vector<std::byte> data(static_cast<std::size_t>(v.rows) * row_bytes(v.dtype, v.cols));
    for (std::size_t at = 0; at < data.size(); at += some.size()) {
      std::memcpy(&data[at], some.data(), std::min(some.size(), data.size() - at));
    }
    if (v.rows == 1) {
      out.add_tensor(v.name, v.dtype, {v.cols}, data);
    } else {
      out.add_tensor(v.name, v.dtype, {v.cols, v.rows}, data);
    }
  }
  const std::vector<std::byte> bytes = out.bytes();
  std::ofstream stream(file, std::ios::binary);
  stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!stream.flush()) throw_invalid(format("{}: cannot write", file.string()));
}

// The best rates of `tinderbox bench` so far.
struct Measured {
  double pp512 = 0, tg128 = 0;
};

void bench(const std::string& tinderbox, const Subject& subject, Measured& best) {
  const std::string command = format("{} bench {} --json -r {} --context 1024", shell_word(tinderbox),
                                     shell_word(subject.file), kRepetitions);
  const Json rows = Json::parse(run(command));
  for (const Json& row : rows) {
    double& rate = row["n_prompt"] > 0 ? best.pp512 : best.tg128;
    for (const double sample : row["samples_ts"]) rate = std::max(rate, sample);
  }
}

void add_rows(const Subject& subject, const Measured& measured, const Machine& machine, const Stack& stack,
              OwnEngineResult& result) {
  const ModelConfig config = config_from_gguf(Gguf::open(subject.file.string()));
  const StepModel model({.machine = machine,
                         .stack = stack,
                         .model = config,
                         .weights = weight_format(subject.weights, WeightFile::Gguf, kind_of(config)),
                         .kv = kv_format(stack.kv_default)});
  for (const auto& [prompt, gen, rate] : {std::tuple(512, 0, measured.pp512), std::tuple(0, 128, measured.tg128)}) {
    OwnEngineRow& row = result.rows.emplace_back(predict_bench(model, prompt, gen));
    row.model = subject.name;
    row.weights = subject.weights;
    row.measured = rate;
  }
}

int compare(const std::string& tinderbox, const fs::path& model_file, const std::string& seconds, bool write,
            const fs::path& folder) {
  const fs::path machine_file = folder / "machine.toml";
  std::vector<Subject> subjects = {{"SmolLM2-135M-Instruct", "q4_1", model_file},
                                   {"random 0.5B", "q8_0", folder / "half.gguf"},
                                   {"random 1B", "q4_k_m", folder / "one.gguf"}};
  write_random(subjects[1].file, llama_shape("half", 24, 1024, 16, 8, 5120), subjects[1].weights);
  write_random(subjects[2].file, llama_shape("one", 22, 2048, 32, 4, 5632), subjects[2].weights);
  run(format("{} probe --out {} --seconds {}", shell_word(tinderbox), shell_word(machine_file), seconds));
  std::vector<Measured> best(subjects.size());
  for (int round = 0; round < kRounds; ++round) {  // in turn, so that all see the same computer
    for (std::size_t i = 0; i < subjects.size(); ++i) bench(tinderbox, subjects[i], best[i]);
  }
  const std::string source = TINDERBOX_SOURCE_DIR;
  const Machine machine = parse_machine(read_file(machine_file), "this-computer");
  const Stack stack = parse_stack(read_file(source + "/data/stacks/tinderbox.toml"), "tinderbox.toml");
  OwnEngineResult result{.cpu = machine.name, .date = machine.sources.at(0).date, .n_cores = machine.n_units};
  for (std::size_t i = 0; i < subjects.size(); ++i) add_rows(subjects[i], best[i], machine, stack, result);
  fmt::print("{} cores of {}, {}: memory {}, F32 products {}, Q8_0 products {}, fork-join {}\n\n{}", machine.n_units,
             machine.name, result.date, human(machine.memory_bandwidth),
             human(machine.peak(MathType::F32, machine.clock_heavy)),
             human(machine.peak(MathType::INT8, machine.clock_heavy)), human(machine.kernel_launch),
             own_engine_table(result));
  if (write) {
    std::ofstream csv(source + "/data/own-engine.csv", std::ios::binary);
    csv << own_engine_csv(result);
    if (!csv.flush()) throw_invalid("data/own-engine.csv: cannot write");
  }
  return 0;
}

int main_of(const std::vector<std::string>& arguments) {
  std::string seconds = "20";
  bool write = false;
  std::vector<std::string> files;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--write") {
      write = true;
    } else if (arguments[i] == "--seconds" && i + 1 < arguments.size() && parse_double(arguments[i + 1])) {
      seconds = arguments[++i];
    } else {
      files.push_back(arguments[i]);
    }
  }
  if (files.size() != 2 || files[1].starts_with("-")) {
    throw_invalid("usage: twin_compare TINDERBOX MODEL.gguf [--write] [--seconds N]");
  }
  std::string name = (fs::temp_directory_path() / "tinderbox-compare-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw_invalid(format("{}: cannot make a folder", name));
  struct Folder {
    fs::path path;
    ~Folder() { fs::remove_all(path); }
  } const folder{name};
  return compare(files[0], files[1], seconds, write, folder.path);
}

}  // namespace
}  // namespace tinderbox

int main(int argc, char** argv) {
  try {
    return tinderbox::main_of({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "twin_compare: {}\n", error.what());
    return 2;
  }
}
