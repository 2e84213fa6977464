// Any bytes, read as a GGUF file, as the model it describes and as its tokenizer: a value or an
// Error, and only ids of the vocabulary.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "model/gguf.h"
#include "model/tokenizer.h"

namespace {

void use(const tinderbox::Gguf& file) {
  unsigned sum = 0;
  for (const tinderbox::TensorView& tensor : file.tensors()) {
    if (!tensor.data.empty())
      sum += static_cast<unsigned>(tensor.data.front()) + static_cast<unsigned>(tensor.data.back());
  }
  CHECK(sum <= 510U * file.tensors().size());
  try {
    tinderbox::config_from_gguf(file);
  } catch (const tinderbox::Error&) {
  }
  const tinderbox::Tokenizer tokenizer = tinderbox::Tokenizer::from_gguf(file);
  for (const std::string_view text :
       {"", "a", "Why is the sky  blue?\n12 <|im_end|> \xff\xe2\x96\x81 é"}) {
    for (const tinderbox::TokenId id : tokenizer.encode(text, true, true)) {
      CHECK(id >= 0 && id < tokenizer.n_vocab());
      CHECK(tokenizer.piece(id).size() <= tokenizer.special_piece(id).size());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    use(tinderbox::Gguf::parse(std::as_bytes(std::span(data, size)), "fuzz.gguf"));
  } catch (const tinderbox::Error&) {
  }
  return 0;
}
