#include "twin/parallel.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "twin/predict.h"

namespace tinderbox {
namespace {

std::string text_of(const std::string& path) {
  return read_file(TINDERBOX_SOURCE_DIR "/data/" + path);
}

TwinModel twin_of(const std::string& model, const std::string& weights,
                  const std::string& stack = "vllm") {
  TwinModel twin;
  twin.machine = parse_machine(text_of("machines/dgx-spark.toml"), "dgx-spark");
  twin.stack = parse_stack(text_of("stacks/" + stack + ".toml"), stack);
  twin.model = parse_config(text_of("models/" + model + ".json"), model);
  twin.weights = weight_format(weights, twin.stack.file, kind_of(twin.model));
  twin.kv = kv_format(twin.stack.kv_default);
  return twin;
}

StepModel on(TwinModel twin, std::string_view parallel) {
  twin.parallel = parse_parallel(parallel, std::nullopt, "tp");
  return StepModel(std::move(twin));
}

std::vector<Segment> decoding(int n_streams, int n_past = 1000) {
  return std::vector<Segment>(static_cast<std::size_t>(n_streams),
                              Segment{.n_past = n_past, .n_new = 1});
}

std::string refusal(std::string_view text, std::optional<std::int64_t> boxes = {}) {
  try {
    return "parsed: " + parse_parallel(text, boxes, "tp").text();
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Parallel, ParsesWhatItPrints) {
  for (const char* text : {"", "tp2", "tp2+ep2", "pp4", "dp2", "tp2+pp2", "tp4+ep2", "ep8", "tp2+dp4"}) {
    EXPECT_EQ(parse_parallel(text, std::nullopt, "tp").text(), text);
  }
  EXPECT_EQ(parse_parallel("ep2+tp2", 2, "tp").text(), "tp2+ep2");
  EXPECT_EQ(parse_parallel("", 4, "tp"), (Parallel{.tp = 4}));
  EXPECT_EQ(parse_parallel("", 4, "pp"), (Parallel{.pp = 4}));
  EXPECT_EQ(parse_parallel("dp2+ep2", 2, "tp"), (Parallel{.ep = 2}));
  EXPECT_EQ(parse_parallel("tp2+ep4", std::nullopt, "tp").boxes(), 4);
  EXPECT_EQ(parse_parallel("tp2+ep4", std::nullopt, "tp").ranks(), 2);
}

TEST(Parallel, RefusesWithReason) {
  const auto says = [](const std::string& message, std::string_view part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  says(refusal("", 0), "nodes 0: expected 1 to 8");
  says(refusal("", 9), "nodes 9: expected 1 to 8");
  says(refusal("tp2", 4), "nodes says 4");
  says(refusal("tp0"), "tp of 1 to 8");
  says(refusal("tp9"), "tp of 1 to 8");
  says(refusal("tp4+pp4"), "at most 8");
  says(refusal("tq2"), "did you mean 'tp'");
  says(refusal("tp2+tp2"), "twice");
  says(refusal("tp"), "tp of 1 to 8");
  says(refusal("tp2+"), "expected ways");
  says(refusal("tp3+ep2"), "divide");
  says(refusal("dp2+ep8"), "tp x dp = ep");
  for (const char* text : {"+", "2", "tp2tp", "tp-2", "tp99999999999999999999", "TP2+"}) {
    EXPECT_EQ(refusal(text).find("parsed"), std::string::npos) << text;
  }
}

TEST(Parallel, RefusesWhatTheModelDoesNotSplitInto) {
  const auto why = [](const std::string& model, std::string_view parallel) -> std::string {
    try {
      on(twin_of(model, "bf16"), parallel);
      return "fits";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Error::Code::Unsupported);
      return error.what();
    }
  };
  EXPECT_EQ(why("qwen3-vl-32b", "tp3"),
            "tp3: qwen3-vl-32b has 64 heads, which do not split evenly; use another degree");
  EXPECT_EQ(why("qwen3-235b-a22b", "tp8"), "fits");  // 4 KV heads, each held by two boxes
  EXPECT_NE(why("qwen3-vl-32b", "ep2").find("no experts"), std::string::npos);
  EXPECT_NE(why("gpt-oss-20b", "ep3").find("32 experts"), std::string::npos);
}

// A larger tp never holds more, and no fewer than the weights of one box divided evenly.
TEST(Parallel, BoxesHoldLessTheMoreTheyAre) {
  for (const char* model : {"qwen3-235b-a22b", "qwen3-vl-32b", "gpt-oss-120b", "llama-3.1-8b",
                            "deepseek-v4-flash", "qwen3.6-35b-a3b"}) {
    SCOPED_TRACE(model);
    TwinModel twin = twin_of("llama-3.1-8b", "bf16");
    try {
      twin.model = parse_config(text_of(std::string("models/") + model + ".json"), model);
    } catch (const Error&) {
      continue;  // no graph for the family yet
    }
    const Graph graph = probe_graph(twin.model, twin.weights, twin.kv);
    for (const auto& way : {&Parallel::tp, &Parallel::pp, &Parallel::ep}) {
      if (way == &Parallel::ep && !twin.model.is_moe()) continue;
      BoxShares last;
      for (int n = 2; n <= 8; n *= 2) {
        Parallel p;
        p.*way = n;
        const BoxShares shares = box_shares(graph, p);
        EXPECT_LE(shares.weights, last.weights);
        EXPECT_LE(shares.kv, last.kv);
        EXPECT_LE(shares.state, last.state);
        EXPECT_GE(shares.weights, 1.0 / n);
        EXPECT_GE(shares.kv, (1.0 - 1e-12) / n);
        last = shares;
      }
    }
    const BoxShares alone = box_shares(graph, {});
    EXPECT_DOUBLE_EQ(alone.weights, 1);
    EXPECT_DOUBLE_EQ(alone.kv, 1);
    EXPECT_DOUBLE_EQ(alone.state, 1);
  }
}

TEST(Parallel, KvHeadsBeyondOneABoxAreCopies) {
  const TwinModel twin = twin_of("qwen3-235b-a22b", "bf16");  // 4 KV heads
  const Graph graph = probe_graph(twin.model, twin.weights, twin.kv);
  EXPECT_DOUBLE_EQ(box_shares(graph, {.tp = 4}).kv, 0.25);
  EXPECT_DOUBLE_EQ(box_shares(graph, {.tp = 8}).kv, 0.25);
}

// The busiest box's experts against dealing them out by chance.
TEST(Parallel, ExpertShareIsTheMeanOfTheFullestBox) {
  Random random(1, Stream::Test, 0);
  for (const int boxes : {2, 4, 8}) {
    for (const int n : {8, 24, 100}) {
      constexpr int kExperts = 128, kRounds = 2000;
      double mean = 0;
      for (int round = 0; round < kRounds; ++round) {
        std::vector<int> left(static_cast<std::size_t>(boxes), kExperts / boxes);
        std::vector<int> chosen(static_cast<std::size_t>(boxes), 0);
        for (int i = 0; i < n; ++i) {
          std::int64_t at = random.range(0, kExperts - i - 1);
          std::size_t box = 0;
          while (at >= left[box]) at -= left[box++];
          --left[box];
          ++chosen[box];
        }
        mean += static_cast<double>(*std::ranges::max_element(chosen)) / (n * kRounds);
      }
      EXPECT_NEAR(expert_share({.ep = boxes}, kExperts, n), mean, 0.06 * mean) << boxes << ' ' << n;
    }
  }
  EXPECT_DOUBLE_EQ(expert_share({.ep = 4}, 128, 128), 0.25);
  EXPECT_DOUBLE_EQ(expert_share({.tp = 4}, 128, 8), 0.25);
  EXPECT_DOUBLE_EQ(expert_share({.tp = 4, .ep = 2}, 128, 128), 0.25);
}

TEST(Parallel, OneBoxDoesNotCommunicate) {
  const StepModel one = on(twin_of("llama-3.1-8b", "fp8"), "");
  EXPECT_EQ(one.price(decoding(3)).communication, Seconds(0));
}

TEST(Parallel, CommunicationGrowsWithBoxes) {
  const TwinModel twin = twin_of("qwen3-235b-a22b", "int4");
  const std::vector<Segment> prompt{{.n_past = 0, .n_new = 2048}};
  for (const char* way : {"tp", "pp", "ep"}) {
    Seconds decode, prefill;
    for (const int n : {2, 4, 8}) {
      const StepModel model = on(twin, way + std::to_string(n));
      const Seconds d = model.price(decoding(1)).communication;
      const Seconds p = model.price(prompt).communication;
      EXPECT_GT(d, decode) << way << n;
      EXPECT_GT(p, prefill) << way << n;
      decode = d;
      prefill = p;
    }
  }
}

TEST(Parallel, TensorParallelByHand) {
  TwinModel twin = twin_of("llama-3.1-8b", "bf16");
  twin.stack.price.sync_time = 0;
  const StepModel one = on(twin, ""), two = on(twin, "tp2");
  // 32 layers: 64 all-reduces and one of the embedding of 8 KiB, 28.9 us each, and the logits' half.
  const StepCost step = two.price(decoding(1), true);
  const Link& link = twin.machine.links[1];
  EXPECT_EQ(link.name, "two-rails");
  const double logits = 128256 * 2.0;
  EXPECT_NEAR(step.communication.value(), 65 * 28.9e-6 + link.all_reduce.at(Bytes(logits)).value() / 2,
              1e-9);
  // Of the matrices each box reads half.
  const auto weights = [](const StepCost& s, OpClass op_class) {
    for (const ClassCost& c : s.classes) {
      if (c.op_class == op_class) return c.work.weights.value();
    }
    return 0.0;
  };
  const StepCost alone = one.price(decoding(1), true);
  for (const OpClass c : {OpClass::MatMul, OpClass::LmHead}) {
    EXPECT_DOUBLE_EQ(weights(step, c), weights(alone, c) / 2);
  }
  Seconds classes = step.overhead + step.communication;
  for (const ClassCost& c : step.classes) classes += c.time;
  EXPECT_NEAR(classes.value(), step.time.value(), 1e-12);
  EXPECT_LT(step.time, alone.time);
  EXPECT_GT(step.time, alone.time / 2);
}

TEST(Parallel, LayerPipelineDoesNotSpeedUpOneStream) {
  for (const char* stack : {"vllm", "llama.cpp"}) {
    const TwinModel twin = twin_of("llama-3.1-8b", stack == std::string("vllm") ? "bf16" : "q8_0", stack);
    const Seconds alone = on(twin, "").price(decoding(1)).time;
    Seconds last = alone;
    for (const char* pp : {"pp2", "pp4", "pp8"}) {
      const StepCost step = on(twin, pp).price(decoding(1));
      EXPECT_GT(step.time, last);
      EXPECT_NEAR((step.time - step.communication).value(), alone.value(), 1e-12);
      last = step.time;
    }
  }
}

TEST(Parallel, LayerPipelineOverlapsPromptsAndStreams) {
  const TwinModel twin = twin_of("llama-3.1-8b", "bf16");
  const StepModel one = on(twin, ""), two = on(twin, "pp2");
  const Point prompt{.prompt = 65536, .gen = 1, .depth = 0, .concurrency = 1};
  const double gain = predict(two, prompt).prefill_tok_per_s / predict(one, prompt).prefill_tok_per_s;
  EXPECT_GT(gain, 1.5);
  EXPECT_LT(gain, 2);
  // Many streams at long context: each stage works on one half of them.
  EXPECT_LT(two.price(decoding(64, 8000)).time, one.price(decoding(64, 8000)).time);
  EXPECT_GT(two.price(decoding(64, 8000)).time, one.price(decoding(64, 8000)).time / 2);
  TwinModel waiting = twin;
  waiting.stack.overlaps_stages = false;
  EXPECT_GE(on(waiting, "pp2").price(decoding(64)).time, one.price(decoding(64)).time);
}

// Two replicas with twice the streams are one box with its own.
TEST(Parallel, ReplicasAreBoxesOfTheirOwn) {
  const TwinModel twin = twin_of("llama-3.1-8b", "bf16");
  const StepModel one = on(twin, "");
  for (const int n : {2, 4}) {
    const StepModel many = on(twin, "dp" + std::to_string(n));
    Point point{.prompt = 900, .gen = 40, .depth = 0, .concurrency = 3};
    const Prediction own = predict(one, point);
    point.concurrency *= n;
    const Prediction all = predict(many, point);
    EXPECT_DOUBLE_EQ(all.decode_tok_per_s, n * own.decode_tok_per_s);
    EXPECT_DOUBLE_EQ(all.prefill_tok_per_s, n * own.prefill_tok_per_s);
    EXPECT_DOUBLE_EQ(all.ttft.value(), own.ttft.value());
    EXPECT_DOUBLE_EQ(all.tpot.value(), own.tpot.value());
    EXPECT_DOUBLE_EQ(all.total.value(), own.total.value());
    EXPECT_EQ(all.memory.total, own.memory.total);
    point.concurrency = 1;
    EXPECT_DOUBLE_EQ(predict(many, point).decode_tok_per_s, predict(one, point).decode_tok_per_s);
    // One more than evenly: between.
    point.concurrency = 3 * n + 1;
    const Prediction uneven = predict(many, point);
    EXPECT_GT(uneven.ttft, own.ttft);
    EXPECT_GT(uneven.total, own.total);
  }
}

TEST(Parallel, FaultyLinksCostTime) {
  TwinModel twin = twin_of("qwen3-vl-32b", "fp8");
  const std::vector<Segment> prompt{{.n_past = 0, .n_new = 4096}};
  const Seconds healthy = on(twin, "tp2").price(prompt).time;
  twin.link = "hot-plug-cap";
  EXPECT_GT(on(twin, "tp2").price(prompt).time, healthy * 1.2);
  EXPECT_EQ(on(twin, "tp2").price(prompt).bound, Bound::Link);
  twin.link = "nonsense";
  EXPECT_THROW(on(twin, "tp2"), Error);
}

TEST(Parallel, ExpertsBeyondTensorParallelDivideSequences) {
  const TwinModel twin = twin_of("qwen3-235b-a22b", "int4");
  const StepModel tp = on(twin, "tp2"), ep = on(twin, "ep2");
  // Two streams: each box has the attention of one.
  const StepCost both = ep.price(decoding(2), true);
  const StepCost one = ep.price(decoding(1), true);
  const auto kv = [](const StepCost& s) {
    double bytes = 0;
    for (const ClassCost& c : s.classes) bytes += c.work.kv_read.value();
    return bytes;
  };
  EXPECT_DOUBLE_EQ(kv(both), kv(one));
  EXPECT_GT(both.time, one.time);
  EXPECT_GT(ep.footprint().weights, tp.footprint().weights);  // attention is held twice
}

}  // namespace
}  // namespace tinderbox
