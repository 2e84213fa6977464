// What a client got, against what the box said of its request: the whole answer once, in order, as
// the API writes it.
#pragma once

#include <string>
#include <vector>

#include "http/http.h"
#include "http/text_codec.h"
#include "sim_laws.h"

namespace tinderbox::sim {

// What a client should see of a request that the box is through with.
struct Outcome {
  enum class Kind : std::uint8_t { Answer, Refused, CutShort } kind = Kind::Answer;
  Admission admission = Admission::Accepted;  // Refused
  std::string text, finish_reason;
  std::int64_t n_tokens = 0;  // up to a stop string
};
Outcome outcome_of(const Told& told, const TextCodec& codec, const std::vector<std::string>& stops);

// Throws Broken. reply.body: all bytes that came. n_prompt: tokens.
void check_reply(const Visit& visit, const HttpResponse& reply, const Outcome& outcome,
                 std::int64_t n_prompt);
// An OpenAI error object with this status and code.
void check_error(const HttpResponse& reply, int status, std::string_view code);

// The value of the metric whose line begins with `name` (labels and all that matter); -1 if there
// is none.
double metric(const std::string& text, const std::string& name);

}  // namespace tinderbox::sim
