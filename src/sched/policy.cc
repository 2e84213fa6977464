#include "sched/policy.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr std::array<Policy, 6> kPolicies = {{
    {.name = "fcfs"},
    {.name = "cached", .prefix_cache = true},
    {.name = "vllm", .prefix_cache = true, .ahead = true},
    {.name = "llama.cpp", .prefix_cache = true, .slots = true},
    {.name = "ollama", .prefix_cache = true, .slots = true},
    {.name = "sglang", .prefix_cache = true, .prompts_alone = true, .longest_match_first = true, .ahead = true},
}};

}  // namespace

std::span<const Policy> policies() { return kPolicies; }

Policy policy_named(std::string_view name, std::string_view where) {
  const auto found = std::ranges::find(kPolicies, name, &Policy::name);
  if (found != kPolicies.end()) return *found;
  std::string names;
  for (const Policy& policy : kPolicies)
    names += (names.empty() ? "" : ", ") + std::string(policy.name);
  throw_invalid(format("{}: no policy is called '{}'; choose one of {}", where, name, names));
}

}  // namespace tinderbox
