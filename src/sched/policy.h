// What serving programs do differently with the same means, as data: the scheduler asks these
// questions and is one for all of them. Beside them stand the limits (token budget, sequences) and
// the block size of the pool.
//
//   fcfs       one token budget, in order of arrival; nothing is kept
//   cached     one token budget: what decodes first, then prompts in chunks; cache of full blocks
//   vllm       the same, a step ahead (vLLM v1; async scheduling is its default since 0.14)
//   llama.cpp  slots: a request takes one and the room that it can ever need, so nothing is preempted; a slot
//              keeps its last sequence, and the next one reuses what they have in common (llama-server:
//              cache_prompt)
//   ollama     the same; each slot with the context it was started with
//   sglang     prompts go alone and before what decodes (without enable_mixed_chunk); whoever has most of his
//              prompt in the radix cache goes first, while few wait (schedule_policy lpm); a step ahead (its
//              overlap scheduler)
//
// Left out: a slot's context shifting, SGLang's guess of how long answers will be when it admits.
#pragma once

#include <span>
#include <string_view>

namespace tinderbox {

struct Policy {
  std::string_view name = "fcfs";  // static
  bool prefix_cache = false;
  bool prompts_alone = false;        // steps that work on prompts decode for nobody
  bool longest_match_first = false;  // else in order of arrival
  bool slots = false;                // holds all it can ever need; what is cached is a slot's
  bool ahead = false;  // a step is scheduled while the one before it runs (the loop sees to it)
  bool fair = false;  // between keys, within a priority: who was served least goes first
};

// Those above, by name.
std::span<const Policy> policies();
// Throws Error::Invalid that lists the names; where begins the message ("--policy").
Policy policy_named(std::string_view name, std::string_view where);

}  // namespace tinderbox
