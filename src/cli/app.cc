#include "cli/app.h"

#include <exception>
#include <functional>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/app_arguments.h"
#include "cli/examples.h"
#include "cli/output.h"

namespace tinderbox::cli {

namespace {

constexpr auto kIntro =
    "tinderbox: the DGX Spark in software.\n"
    "A box you can use, a twin you can trust, and the two joined.\n";

// Below every --help: how the verb is used.
void add_examples(CLI::App& app) {
  app.footer(format("\n{}\n\n{}", examples_of(""), kExitCodes));
  for (CLI::App* verb : app.get_subcommands(std::function<bool(CLI::App*)>())) {
    const std::string examples = examples_of(verb->get_name());
    if (!examples.empty()) verb->footer(format("\n{}\n\n{}", examples, kExitCodes));
  }
}

void add_engine(CLI::App& verb, EngineOptionsCli& engine, bool required) {
  auto* file = verb.add_option("file", engine.file, "A model in GGUF format");
  if (required) file->required();
  verb.add_option("--threads", engine.threads, "Threads to compute with (0: all processors)")
      ->check(CLI::Range(0, 1024));
  verb.add_option("--context", engine.context, "Context in tokens (0: the model's, at most 8192)")
      ->check(kTokensOrNone);
}

void add_catalogues(CLI::App& app, Arguments& a, const Context& context) {
  for (const auto& [kind, what] : {std::pair{"machines", "Lists the machines the twin knows"},
                                   std::pair{"models", "Lists the models of the catalogue"},
                                   std::pair{"stacks", "Lists the serving stacks"}}) {
    auto* verb = app.add_subcommand(kind, what);
    verb->add_flag("--json", a.catalogue.json, "One JSON document on stdout");
    auto* show = verb->add_subcommand("show", "Shows one of them, with the source of every number");
    show->add_option("id", a.catalogue.show, "An id of the list, or a file")->required();
    show->add_flag("--json", a.catalogue.json, "One JSON document on stdout");
    verb->callback([&a, &context, k = std::string(kind)] {
      a.catalogue.kind = k;
      a.action = [&a, &context] { return cmd_catalogue(context, a.catalogue); };
    });
  }
}

void add_predict(CLI::App& app, Arguments& a, const Context& context) {
  auto* verb = app.add_subcommand("predict",
                                  "Speed, memory and the binding resource of a model on a machine");
  PredictOptions& o = a.predict;
  add_twin(*verb, o.twin, true);
  add_speculation(*verb, o.twin);
  verb->add_option("--prompt", o.prompt, "Prompt tokens")->check(kTokens)->capture_default_str();
  verb->add_option("--gen", o.gen, "Generated tokens")->check(kTokens)->capture_default_str();
  verb->add_option("--depth", o.depth, "Tokens cached before the prompt")
      ->check(kTokensOrNone)
      ->capture_default_str();
  verb->add_option("--concurrency", o.concurrency,
                   "Streams that start together, or max: as many as fit and the stack admits")
      ->transform(kStreamsOrMax)
      ->default_str("1");
  verb->add_flag("--sustained", o.sustained, "Speed, clocks and temperatures once the box is as warm as this makes it");
  add_surroundings(*verb, o.surroundings);
  verb->add_flag("--explain", o.explain, "Cost of each class of ops");
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->callback([&] { a.action = [&] { return cmd_predict(context, a.predict); }; });
}

void add_compare(CLI::App& app, Arguments& a, const Context& context) {
  auto* verb = app.add_subcommand(
      "compare", "Machines side by side: speed, fit, watts, price, cost of a million tokens");
  CompareOptions& o = a.compare;
  verb->add_option("--model", o.model, "Catalogue id, config.json, its folder, or a .gguf file")
      ->required();
  verb->add_option("--machines", o.machines,
                   "Machine ids or .toml files, separated by commas; NAME-x2 is two GPUs in a box")
      ->delimiter(',')
      ->capture_default_str();
  verb->add_option("--weights", o.weights,
                   "Weights format for all (default: that of each machine's stack)");
  verb->add_option("--stack", o.stack, "Serving stack for all (default: each machine's usual one)");
  verb->add_option("--kv", o.kv, "KV-cache format (default: the stack's)");
  verb->add_option("--prompt", o.prompt, "Prompt tokens")->check(kTokens)->capture_default_str();
  verb->add_option("--gen", o.gen, "Generated tokens")->check(kTokens)->capture_default_str();
  verb->add_option("--concurrency", o.concurrency, "Streams that start together")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  verb->add_option("--electricity", o.tariff.electricity_per_kwh, "Price of a kWh")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  verb->add_option("--currency", o.currency, "Of electricity and cost")
      ->check(CLI::IsMember({"EUR", "USD"}))
      ->capture_default_str();
  verb->add_option("--usd", o.tariff.price_per_usd,
                   "A US dollar of list price in that currency (before tax)")
      ->check(CLI::Range(0.001, 1000.0))
      ->capture_default_str();
  verb->add_option("--hours-per-day", o.tariff.hours_per_day, "Busy hours a day, over 3 years")
      ->check(CLI::Range(0.01, 24.0))
      ->capture_default_str();
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->callback([&] { a.action = [&] { return cmd_compare(context, a.compare); }; });
}

void add_fit(CLI::App& app, Arguments& a, const Context& context) {
  auto* verb = app.add_subcommand(
      "fit", "Peak memory by phase, what fits or freezes the box, and the flags that are safe");
  FitOptions& o = a.fit;
  add_twin(*verb, o.twin, true);
  verb->add_option("--context", o.demand.context, "Tokens of each stream (default: 8192)")
      ->check(kTokens);
  verb->add_option("--concurrency", o.demand.concurrency, "Streams at once")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb->add_option("--memory-fraction", o.demand.share,
                   "Share the stack takes at start (default: the largest that is safe)")
      ->check(CLI::Range(0.01, 1.0));
  verb->add_option("--step-tokens,--max-num-batched-tokens", o.demand.step_tokens,
                   "Token budget of a step (default: the stack's)")
      ->check(kTokens);
  verb->add_option("--sequences,--max-num-seqs", o.demand.sequences,
                   "Sequences in a batch (default: the stack's)")
      ->check(CLI::Range(1, 1 << 20));
  verb->add_flag("--explain", o.explain, "The parts of each phase");
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->callback([&] { a.action = [&] { return cmd_fit(context, a.fit); }; });
}

void add_sampling(CLI::App& verb, SamplingParams& sampling) {
  verb.add_option("--temperature", sampling.temperature, "0 is greedy and deterministic")
      ->check(CLI::Range(0.0, 100.0));
  verb.add_option("--top-k", sampling.top_k, "Keep the k likeliest tokens (0: all)")
      ->check(CLI::Range(0, 1 << 24));
  verb.add_option("--top-p", sampling.top_p, "Keep the likeliest tokens of this total probability")
      ->check(CLI::Range(0.0, 1.0));
  verb.add_option("--min-p", sampling.min_p, "Keep tokens of at least this share of the likeliest")
      ->check(CLI::Range(0.0, 1.0));
  verb.add_option("--repetition-penalty", sampling.repetition_penalty, "Above 1: repeat less")
      ->check(CLI::Range(0.01, 100.0));
  verb.add_option("--seed", sampling.seed, "Same seed, same answer")->capture_default_str();
}

void add_engine_verbs(CLI::App& app, Arguments& a) {
  auto* run = app.add_subcommand("run", "One answer, in the terminal, from real weights");
  add_engine(*run, a.run.engine, true);
  run->add_option("prompt", a.run.prompt, "What to ask")->required();
  run->add_option("--system", a.run.system, "System message");
  run->add_option("--max-tokens", a.run.max_tokens,
                  "Stop after so many tokens (0: when the model ends)")
      ->check(kTokensOrNone);
  run->add_flag("--raw", a.run.raw, "Continue the text as it is, without the chat template");
  run->add_flag("--stats", a.run.stats, "Speed on stderr when done");
  add_sampling(*run, a.run.sampling);
  run->callback([&] { a.action = [&] { return cmd_run(a.run); }; });

  auto* bench = app.add_subcommand(
      "bench", "Prompt and generation speed on this computer, as llama-bench prints it");
  add_engine(*bench, a.bench.engine, true);
  bench->add_option("--prompt,-p", a.bench.prompt, "Prompt lengths to measure (0: none)")
      ->check(kTokensOrNone)
      ->capture_default_str();
  bench->add_option("--gen,-n", a.bench.gen, "Generation lengths to measure (0: none)")
      ->check(kTokensOrNone)
      ->capture_default_str();
  bench->add_option("--repetitions,-r", a.bench.repetitions, "Times each")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  bench->add_flag("--json", a.bench.json, "llama-bench's JSON on stdout");
  bench->callback([&] { a.action = [&] { return cmd_bench(a.bench); }; });
}

void add_probe(CLI::App& app, ProbeOptionsCli& o, std::function<int()>& action) {
  auto* verb = app.add_subcommand("probe", "Measures this computer into a machine file");
  verb->add_option("--out", o.out, "Write the machine file here (default: stdout)");
  verb->add_option("--id", o.id, "Its id");
  verb->add_option("--seconds", o.seconds, "Time to measure for, about")->check(CLI::Range(0.1, 3600.0));
  verb->add_option("--threads", o.threads, "Threads to compute with (0: all processors)")->check(CLI::Range(0, 1024));
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->callback([&] { action = [&] { return cmd_probe(o); }; });
}

void add_serve(CLI::App& app, Arguments& a, const Context& context) {
  auto* verb = app.add_subcommand(
      "serve", "The box: an OpenAI-compatible API, metrics, and a page to chat on");
  ServeOptions& o = a.serve;
  add_engine(*verb, o.engine, false);
  verb->remove_option(verb->get_option("file"));
  verb->add_option("files", o.files, "Models in GGUF format; several share the memory and are loaded when asked for");
  add_twin(*verb, o.twin, false);
  verb->remove_option(verb->get_option("--model"));
  verb->add_option("--as", o.as, "Answer at the pace of this machine, within its memory");
  verb->add_option("--weightless", o.weightless,
                   "No weights: placeholder text at the twin's pace, for this model, or several: a,b")
      ->delimiter(',');
  verb->add_option("--pin", o.pins, "A model that stays in memory (may be repeated)");
  verb->add_option("--keep-alive", o.keep_alive, "Seconds after which a model at rest is unloaded (default: never)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--load-rate", o.load_rate,
                   "How fast weights are loaded, \"3 GB/s\" (default: as the machine's drive reads)");
  verb->add_flag("--no-pace", o.no_pace,
                 "Answer as fast as this computer can; the modelled machine's time runs ahead");
  verb->add_flag("--freeze", o.freeze, "Serve what does not fit, and freeze as the real machine would");
  add_body(*verb, o.body);
  verb->remove_option(verb->get_option("--body"));  // always, with a machine that has one
  verb->add_option("--fault-seed", o.fault_seed, "Of faults at a rate: same seed, same times")->capture_default_str();
  verb->add_option("--host", o.host, "Address to listen on")->capture_default_str();
  verb->add_option("--port", o.port, "Port to listen on (0: any free one)")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  verb->add_option("--port-file", o.port_file, "Write the port to this file once listening");
  verb->add_option("--requests-out", o.requests_out,
                   "Write a CSV with a row for each answered request here, by the box's clock and without contents; "
                   "simulate, soak and capacity take it as a --trace");
  verb->add_option("--name", o.name, "Model name in the API (default: from the file)");
  verb->add_option("--sequences", o.sequences_max,
                   "Sequences in a batch (default: 8, or the stack's)")
      ->check(CLI::Range(1, 4096));
  verb->add_option("--step-tokens", o.step_tokens_max,
                   "Token budget of a step (default: 512, or the stack's)")
      ->check(kTokens);
  verb->add_option("--queue", o.queue_max, "Waiting requests before new ones are refused")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  verb->add_flag("--fair", o.fair, "Of keys that wait with one priority, the one that was served least goes first");
  add_gate(*verb, o.gate);
  verb->callback([&] { a.action = [&] { return cmd_serve(context, a.serve); }; });
}

// Hidden: for tests against independent implementations.
void add_inspect(CLI::App& app, Arguments& a) {
  auto* tokenize =
      app.add_subcommand("tokenize", "JSON array of strings on stdin -> arrays of token ids")
          ->group("");
  tokenize->add_option("file", a.inspect.file)->required();
  tokenize->callback([&] { a.action = [&] { return cmd_tokenize(a.inspect); }; });
  auto* logits =
      app.add_subcommand("logits", "JSON arrays of token ids on stdin -> next-token probabilities")
          ->group("");
  logits->add_option("file", a.inspect.file)->required();
  logits->add_option("--threads", a.inspect.threads);
  logits->callback([&] { a.action = [&] { return cmd_logits(a.inspect); }; });
  auto* render =
      app.add_subcommand("render", "{template, messages} on stdin -> rendered text")->group("");
  render->callback([&] { a.action = [] { return cmd_render(); }; });
}

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands({})) names.push_back(verb->get_name());
  return names;
}

// Ranges let through what compares with nothing, and the parser takes -1 for the largest of unsigned numbers.
void require_numbers(CLI::App& app) {
  for (CLI::Option* option : app.get_options(std::function<bool(CLI::Option*)>())) {
    const std::string type = option->get_type_name();
    if (type.starts_with("FLOAT")) {
      option->check(CLI::Validator(
          [](const std::string& text) {
            return parse_double(text) || text.ends_with("inf") ? std::string() : format("{} is not a number", text);
          },
          ""));
    } else if (type.starts_with("UINT")) {
      option->check(CLI::Validator(
          [](const std::string& text) {
            return parse_int(text).value_or(-1) < 0 ? format("{} is not a number from 0 to 9223372036854775807", text)
                                                    : std::string();
          },
          ""));
    }
  }
  for (CLI::App* verb : app.get_subcommands(std::function<bool(CLI::App*)>())) require_numbers(*verb);
}

int usage_error(const CLI::App& app, const CLI::ParseError& error, int argc,
                const char* const* argv) {
  std::string hint;
  const std::vector<std::string> verbs = verb_names(app);
  if (argc > 1 && argv[1][0] != '-' &&
      std::find(verbs.begin(), verbs.end(), argv[1]) == verbs.end()) {
    log(format("tinderbox: no verb '{}'{}; `tinderbox --help` lists them", argv[1],
               did_you_mean(argv[1], verbs)));
    return 2;
  }
  log(format("tinderbox: {}; `tinderbox {}--help` explains", error.what(),
             argc > 1 && argv[1][0] != '-' ? std::string(argv[1]) + " " : std::string()));
  return 2;
}

}  // namespace

void add_twin(CLI::App& verb, TwinOptions& twin, bool model_required) {
  verb.add_option("--machine", twin.machine, "Machine id or .toml file (see `tinderbox machines`)")
      ->capture_default_str();
  auto* model = verb.add_option("--model", twin.model,
                                "Catalogue id, config.json, its folder, or a .gguf file");
  if (model_required) model->required();
  verb.add_option("--weights", twin.weights,
                  "Weights format: bf16, fp8, nvfp4, mxfp4, q4_k_m, ... (default: those of the published checkpoint, "
                  "or the stack's)");
  verb.add_option("--stack", twin.stack,
                  "Serving stack: llama.cpp, vllm, ... (default: by weights format)");
  verb.add_option("--stack-version", twin.stack_version,
                  "Its build or version, b8657 or 0.23, where kernels changed (default: before all changes)");
  verb.add_option("--kernel-path", twin.kernel_path, "Kernels other than its usual ones: marlin, native-mxfp4, ...");
  verb.add_option("--ubatch", twin.ubatch, "Tokens it computes at a time (-ub of llama.cpp; default: the stack's)")
      ->check(CLI::Range(1, 1 << 20));
  verb.add_option("--kv", twin.kv, "KV-cache format: f16, bf16, fp8, q8_0 (default: the stack's)");
  verb.add_option("--nodes", twin.nodes, "Boxes, 1 to 8 (default: as many as --parallel needs)");
  verb.add_option("--parallel", twin.parallel,
                  "How they share the model: tp2, tp2+ep2, pp4, dp2, ... (default: the stack's way)");
  verb.add_option("--link", twin.link,
                  "Link between them, healthy or not: two-rails, rail, hot-plug-cap, mtu-1500, ...");
}

void add_speculation(CLI::App& verb, TwinOptions& twin) {
  verb.add_option("--speculation", twin.speculation,
                  "Speculative decoding: mtp, eagle3, dflash, dspark, ngram, draft-model");
  verb.add_option("--draft-tokens", twin.draft_tokens, "Tokens drafted a step (default: the method's)");
  verb.add_option("--accepted", twin.accepted, "Mean of them kept a step (default: the method's, a wide guess)");
}

int run_app(int argc, const char* const* argv) {
  try {
    const Context context = load_context();
    Arguments arguments;
    CLI::App app(kIntro, "tinderbox");
    app.set_version_flag("--version", TINDERBOX_VERSION);
    app.require_subcommand(1);
    add_engine_verbs(app, arguments);
    add_probe(app, arguments.probe, arguments.action);
    add_serve(app, arguments, context);
    add_top(app, arguments);
    add_keys(app, arguments);
    add_smi(app, arguments);
    add_pull(app, arguments);
    add_predict(app, arguments, context);
    add_compare(app, arguments, context);
    add_soak(app, arguments, context);
    add_fit(app, arguments, context);
    add_simulate(app, arguments, context);
    add_capacity(app, arguments, context);
    add_validate(app, arguments, context);
    add_calibrate(app, arguments, context);
    add_catalogues(app, arguments, context);
    add_pages(app, arguments, context);
    add_inspect(app, arguments);
    add_examples(app);
    require_numbers(app);
    try {
      app.parse(argc, argv);
    } catch (const CLI::Success& success) {
      return app.exit(success);
    } catch (const CLI::ParseError& error) {
      return usage_error(app, error, argc, argv);
    }
    return arguments.action();
  } catch (const Error& error) {
    log(format("tinderbox: {}", error.what()));
    return 2;
  } catch (const std::exception& error) {
    log(format("tinderbox: internal error: {}", error.what()));
    return 3;
  }
}

}  // namespace tinderbox::cli
