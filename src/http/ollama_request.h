// Ollama's request bodies (api/types.go of ollama/ollama) in OpenAI's words: what is common is translated, what the
// server cannot do is refused by name, what only tunes another program (num_gpu, num_batch, ...) is passed over.
//
// Sampling that is not said is Ollama's: temperature 0.8, top_k 40, top_p 0.9; but no penalty of repetitions, which
// Ollama limits to the last 64 tokens and this server does not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tinderbox {

enum class OllamaEndpoint : std::uint8_t { Generate, Chat };

struct OllamaRequest {
  enum class Does : std::uint8_t { Answer, Load, Unload } does = Does::Answer;
  std::string model;  // without ":latest"
  bool stream = true;
  // Answer: where to send it, and what; always streamed, with its usage.
  std::string path = {}, body = {};
  std::optional<std::int64_t> n_gen_max = {};
  // The body with max_tokens. A raw prompt needs one, because OpenAI's completions stop after 16 tokens by default; and
  // Ollama takes more than the context has.
  std::string with_limit(std::int64_t context_max) const;
};

// Throw RequestError.
OllamaRequest parse_ollama_request(OllamaEndpoint endpoint, std::string_view body);
// The field model (or its older name) of a body that has one.
std::string ollama_model(std::string_view body);
// /api/embed, or its older form /api/embeddings: a body of /v1/embeddings.
std::string embeddings_body(std::string_view body, bool older);

}  // namespace tinderbox
