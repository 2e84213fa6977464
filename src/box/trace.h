// Requests as services and benchmarks publish them, read as requests to simulate.
//
//   Azure 2023, 2024    CSV: TIMESTAMP, ContextTokens, GeneratedTokens
//   BurstGPT            CSV: Timestamp (s), Request tokens, Response tokens
//   ours                CSV: arrival_s, prompt_tokens, output_tokens (`simulate --requests-out` writes it)
//   Mooncake            JSON lines: timestamp (ms), input_length, output_length, hash_ids of 512-token blocks,
//                       or of block_length tokens
//   aiperf              JSON lines (profile_export.jsonl): metadata.request_start_ns, metrics.*_sequence_length
//   ShareGPT            JSON lines or a JSON list: conversations; the first question and answer, as vLLM's
//                       benchmark takes it, four bytes of text to a token; no times
//   vllm bench serve    JSON (--save-result --save-detailed): input_lens, output_lens, start_times if there
//
// The format is recognised by its columns or keys. No text of a trace is kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sched/request.h"

namespace tinderbox {

struct TraceOptions {
  bool strict = false;  // throw at the first bad row instead of leaving it out
  double speed = 1;     // how much faster than it happened
};

struct Trace {
  std::string format;
  std::vector<Request> requests;  // by arrival, the first at 0; ids from 1
  bool timed = true;              // false: all arrive at 0, to be spaced out
  double rate = 0;                // requests a second that an untimed file was sent at; 0: not said
  std::int64_t n_rows = 0, n_skipped = 0, n_unordered = 0;  // unordered ones are sorted, and kept
  std::vector<std::string> notes;  // what was wrong, the first few, each "file:line: ..."
};

// Throws Error::Invalid naming file, line and what to do: an unknown format, no usable row, or with
// strict any bad row; Error::Invalid for a speed that is not above 0.
Trace read_trace(std::string_view text, std::string_view name, const TraceOptions& options = {});
Trace load_trace(const std::string& path, const TraceOptions& options = {});

}  // namespace tinderbox
