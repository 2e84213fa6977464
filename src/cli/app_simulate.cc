#include <limits>

#include "cli/app_arguments.h"

namespace tinderbox::cli {
namespace {

const CLI::Range kSeconds(0.0, 1e9);

void add_traffic(CLI::App& verb, SimulateOptionsCli& o) {
  auto* rate = verb.add_option("--rate", o.rate, "Mean arrivals per second: of requests, or of conversations")
                   ->check(CLI::Range(1e-6, 1e6))
                   ->capture_default_str();
  verb.add_option("--burstiness", o.burstiness,
                  "Gamma shape of the arrivals: 1 Poisson, below 1 burstier, inf one at a time")
      ->check(CLI::Range(0.01, std::numeric_limits<double>::infinity()))
      ->capture_default_str();
  verb.add_option("--diurnal", o.diurnal, "Swing of the rate over a day, as a share of it")
      ->check(CLI::Range(0.0, 0.999));
  verb.add_option("--day", o.day, "Length of that day in seconds")->check(CLI::Range(1.0, 1e9))->capture_default_str();
  verb.add_option("--users", o.users, "Closed loop: so many users who wait for answers (instead of --rate)")
      ->check(CLI::Range(1, 1 << 16))
      ->excludes(rate);
  verb.add_option("--in-flight", o.in_flight_max,
                  "The client keeps at most so many requests under way, the others wait with it")
      ->check(CLI::Range(1, 1 << 16))
      ->excludes("--users");
  verb.add_option("--think", o.think, "Mean seconds before a user goes on (with --users or --turns)")
      ->check(kSeconds);
  verb.add_option("--turns", o.turns, "Turns of a conversation, each asked with all that was said")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb.add_option("--shared-prefix", o.shared_prefix, "Tokens that every conversation begins with")
      ->check(CLI::Range(0, 1 << 24));
  auto* requests = verb.add_option("--requests", o.requests, "Requests to send")
                       ->check(CLI::Range(1, 100000000))
                       ->capture_default_str();
  verb.add_option("--prompt", o.prompt,
                  "Prompt tokens: 512, uniform:100-900, lognormal:MEAN,SPREAD or file:NAME")
      ->capture_default_str();
  verb.add_option("--gen", o.gen, "Generated tokens, likewise")->capture_default_str();
  verb.add_option("--range-ratio", o.range_ratio,
                  "Lengths uniform within (1 - r) to (1 + r) of the above, if they are numbers")
      ->check(CLI::Range(0.0, 1.0));
  auto* trace = verb.add_option("--trace", o.trace,
                                "Requests of this file: Azure, BurstGPT, Mooncake, ShareGPT, aiperf, vllm bench serve")
                    ->excludes(requests);
  verb.add_option("--speed", o.speed, "Replay the trace so much faster")
      ->check(CLI::Range(1e-6, 1e6))
      ->needs(trace);
  verb.add_flag("--strict", o.strict, "Refuse a trace with bad rows instead of skipping them")->needs(trace);
  verb.add_option("--seed", o.seed, "Same seed, same bytes")->capture_default_str();
}

void add_scheduling(CLI::App& verb, SimulateOptionsCli& o) {
  verb.add_option("--policy", o.policy,
                  "How requests are scheduled: fcfs, cached, vllm, llama.cpp, ollama, sglang (default: the stack's)");
  verb.add_option("--prefix-cache", o.prefix_cache,
                  "on or off: what was read is kept for who begins alike (default: the policy's)")
      ->check(CLI::IsMember({"on", "off"}));
  auto* keys = verb.add_option("--keys", o.keys, "Requests are those of so many keys, drawn evenly")
                   ->check(CLI::Range(1, 1 << 16));
  verb.add_flag("--fair", o.fair, "The key that was served least goes first")->needs(keys);
  verb.add_option("--priorities", o.priorities, "So many levels of urgency, drawn evenly; lower ones go first")
      ->check(CLI::Range(1, 1 << 10));
  verb.add_option("--timeout", o.timeout, "A request is given up so many seconds after it arrived")
      ->check(CLI::Range(1e-9, 1e9));
}

void add_limits(CLI::App& verb, SimulateOptionsCli& o) {
  verb.add_option("--slo-ttft", o.slo_ttft, "Goodput counts requests whose TTFT is at most so many seconds")
      ->check(kSeconds);
  verb.add_option("--slo-tpot", o.slo_tpot, "... whose TPOT is")->check(kSeconds);
  verb.add_option("--slo-e2e", o.slo_e2e, "... whose time from arrival to last token is")->check(kSeconds);
  verb.add_option("--step-tokens", o.step_tokens_max, "Token budget of a step (default: the stack's)")
      ->check(kTokens);
  verb.add_option("--sequences", o.sequences_max, "Sequences in a batch (default: the stack's)")
      ->check(CLI::Range(1, 1 << 16));
  verb.add_option("--kv-tokens", o.kv_tokens,
                  "KV capacity in tokens (default: what is safe on the machine)")
      ->check(kTokens);
  verb.add_option("--router", o.router,
                  "Which box takes a request: round-robin, random, least-loaded, least-kv, prefix-aware, power-aware; "
                  "of several models the last four prefer boxes where it is loaded")
      ->capture_default_str();
  verb.add_option("--threads", o.threads, "Threads for boxes that run by themselves (0: all processors)")
      ->check(CLI::Range(0, 1024));
  add_body(verb, o.body);
}

void add_pool(CLI::App& verb, SimulateOptionsCli& o) {
  verb.add_option("--mix", o.mix,
                  "Of --model a,b (several in one memory): their shares of the requests or conversations, as 2,1");
  verb.add_option("--pin", o.pins, "... these are there from the beginning and stay")->delimiter(',');
  verb.add_option("--keep-alive", o.keep_alive,
                  "... one that rests so many seconds is unloaded (default: when its room is needed)")
      ->check(CLI::Range(1e-9, 1e9));
  verb.add_option("--load-rate", o.load_rate,
                  "... how fast weights are loaded: \"3 GB/s\" (default: what the machine's drive reads)");
}

}  // namespace

void add_capacity(CLI::App& app, Arguments& a, const Context& context) {
  auto* verb = app.add_subcommand(
      "capacity", "The largest load that boxes hold within promised latencies, and latency against load");
  CapacityOptionsCli& o = a.capacity;
  o.simulation.requests = 2000;
  add_twin(*verb, o.simulation.twin, true);
  add_speculation(*verb, o.simulation.twin);
  add_traffic(*verb, o.simulation);
  add_scheduling(*verb, o.simulation);
  add_limits(*verb, o.simulation);
  auto* users = verb->get_option("--users");
  verb->remove_option(users);
  verb->add_flag("--users", o.users, "Ask how many users in a closed loop, not which rate");
  verb->add_option("--percent", o.percent, "Requests that must keep the SLO")
      ->check(CLI::Range(1e-6, 100.0))
      ->capture_default_str();
  auto* boxes = verb->add_option("--boxes", o.boxes, "Boxes behind the router; several numbers: one answer each")
                    ->delimiter(',')
                    ->check(CLI::Range(1, 100000))
                    ->capture_default_str();
  verb->add_option("--max-boxes", o.boxes_max, "Instead: how many boxes, up to so many, the --rate or --trace needs")
      ->check(CLI::Range(1, 100000))
      ->excludes(boxes);
  verb->add_option("--seeds", o.seeds, "Runs with other requests, for how sure it is")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  verb->add_option("--svg", o.svg, "Draw latency against load here");
  verb->add_option("--csv", o.csv, "Write the curve here");
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->callback([&] { a.action = [&] { return cmd_capacity(context, a.capacity); }; });
}

void add_simulation(CLI::App& verb, SimulateOptionsCli& o) {
  add_twin(verb, o.twin, false);  // --sweep names models of its own
  add_speculation(verb, o.twin);
  add_traffic(verb, o);
  add_scheduling(verb, o);
  add_limits(verb, o);
  verb.add_option("--boxes", o.boxes, "So many boxes behind a router")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  auto* roles = verb.add_option("--disaggregate", o.disaggregate,
                                "P:D instead: P boxes read prompts and send their KV to D that generate")
                    ->excludes("--boxes");
  verb.add_option("--decode-machine", o.decode_machine, "Those that generate are of this kind (needs --kv-bandwidth)")
      ->needs(roles);
  verb.add_option("--kv-bandwidth", o.kv_bandwidth,
                   "How fast KV travels between them: \"10 Gb/s\" (default: the machine's measured link, see --link)")
      ->needs(roles);
  verb.add_option("--kv-transfer", o.kv_transfer,
                  "When it is sent: after the prompt is in (vLLM's NIXL connector), or layerwise, while later layers "
                  "and chunks are computed (LMCache, Mooncake)")
      ->check(CLI::IsMember({"after", "layerwise"}))
      ->capture_default_str()
      ->needs(roles);
  verb.add_option("--faulty-boxes", o.faulty_boxes, "Faults befall only the first so many boxes (default: all)")
      ->check(CLI::Range(1, 100000))
      ->needs("--fault");
}

void add_simulate(CLI::App& app, Arguments& a, const Context& context) {
  auto* verb = app.add_subcommand(
      "simulate", "Replays traffic in virtual time: TTFT, TPOT, ITL, E2E percentiles, goodput");
  SimulateOptionsCli& o = a.simulate;
  add_simulation(*verb, o);
  verb->add_option("--requests-out", o.requests_out, "Write a CSV with a row for each request here");
  verb->add_option("--exact", o.exact, "Samples up to which percentiles are exact; of more, within 0.4 %")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}))
      ->capture_default_str();
  verb->add_option("--perfetto", o.perfetto,
                   "Write every run of steps and every request's way here, as a trace that ui.perfetto.dev opens "
                   "(JSON, about 2 kB a request, cut at 500 MB)");
  verb->add_option("--svg", o.svg,
                   "Draw rates, queues, KV, TTFT and TPOT over time here; with --body also watts, heat and clock");
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->get_option("--model")->description("Catalogue id, config.json, its folder, or a .gguf file; a,b: several that "
                                           "share the memory");
  add_pool(*verb, o);
  add_sweep(*verb, a.sweep);
  verb->callback([&, verb] {
    a.action = [&, verb] {
      return a.sweep.file.empty() ? cmd_simulate(context, a.simulate) : cmd_sweep(context, sweep_of(*verb, a));
    };
  });
}

}  // namespace tinderbox::cli
