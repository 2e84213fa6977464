// Prompts that were shorter than their rows say. A prompt is not in before it has been read, so the time to its first
// token times the rate at which the same source says that it was read is at least the prompt: where it is less, fewer
// tokens were counted than the bench was told to send (llama-benchy without the model's tokenizer cuts its text with
// another's) or part of the prompt was in a cache.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "base/csv.h"
#include "box/measurement.h"

namespace tinderbox {

// Time * rate / prompt of every prompt that a source read alone and states both of, by the index of the time's row.
// Rows with a cell that does not parse are left out.
std::map<std::size_t, double> prompt_shares(const Csv& csv);

// The share of the stated prompts that each source counted, by source: the least of its shares, since whatever a time
// has beside the reading (a server's latency, the first step) only adds to it. Without those that agree with
// themselves within 5 % or state fewer than three pairs.
std::map<std::string, double> counted_prompts(const Csv& csv);

// The load with so much of the row's stated prompt; requests that come when they come, of another bench, stay.
void count_prompt(const Cells& cells, double share, Measured& measured);

}  // namespace tinderbox
