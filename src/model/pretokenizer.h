// Splits running text into the words that byte-level BPE merges within. Each rule is a published
// regular expression (quoted in the .cc) written as a loop: linear in the text, without
// backtracking that an input could blow up. Character classes are Unicode 15.0 (utf8proc); a byte
// that is not UTF-8 counts as a symbol of its own.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace tinderbox {

enum class PreTokenizer { Gpt2, Smollm, Llama3, Qwen2, O200k, Tekken };

// By the value of tokenizer.ggml.pre; nullopt if this version has no rule for it.
std::optional<PreTokenizer> pretokenizer(std::string_view name);

// The words of `text` in order; together they are `text`. Requires less than 4 GiB.
std::vector<std::string_view> split_words(std::string_view text, PreTokenizer kind);

}  // namespace tinderbox
