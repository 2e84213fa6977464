#include <cmath>
#include <queue>
#include <tuple>

#include <utf8proc.h>

#include "base/error.h"
#include "base/text.h"
#include "model/tokenizer_vocab.h"

namespace tinderbox {
namespace {

struct Candidate {
  float score;
  std::int64_t left, right;
  std::uint32_t
      size;  // bytes of both sides when queued; they only grow, so an equal sum means unchanged
  TokenId result;

  // priority_queue takes the largest first: highest score, then leftmost.
  bool operator<(const Candidate& other) const {
    return score != other.score ? score < other.score : left > other.left;
  }
};

std::vector<MergeSymbol> characters(std::string_view text, const Vocabulary& vocabulary) {
  std::vector<MergeSymbol> symbols;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t length =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    const std::size_t size = length > 0 ? static_cast<std::size_t>(length) : 1;
    const auto found = vocabulary.ids.find(text.substr(at, size));
    const auto i = static_cast<std::int64_t>(symbols.size());
    const bool last = at + size == text.size();
    symbols.push_back({i - 1, last ? -1 : i + 1, static_cast<std::uint32_t>(at),
                       static_cast<std::uint32_t>(size),
                       found == vocabulary.ids.end() ? TokenId{-1} : found->second});
    at += size;
  }
  return symbols;
}

}  // namespace

Spm::Spm(const Gguf& file, const Vocabulary& vocabulary) {
  const GgufArray* scores = file.array("tokenizer.ggml.scores");
  const auto n = static_cast<std::size_t>(vocabulary.size());
  if (scores == nullptr || scores->numbers.size() != n) {
    throw_invalid(format(
        "{}: key tokenizer.ggml.scores is missing or has not {} entries, which a llama tokenizer "
        "needs",
        file.name(), n));
  }
  for (const double score : scores->numbers) {
    if (!std::isfinite(score))
      throw_invalid(format("{}: key tokenizer.ggml.scores holds {}", file.name(), score));
    scores_.push_back(static_cast<float>(score));
  }
  if (const auto id = file.integer("tokenizer.ggml.unknown_token_id");
      id && *id >= 0 && *id < vocabulary.size()) {
    unknown_ = static_cast<TokenId>(*id);
  }
  byte_ids_.fill(-1);
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.type(id) == TokenType::Byte)
      byte_ids_[static_cast<unsigned char>(vocabulary.piece(id)[0])] = id;
  }
  for (const std::string_view token : file.array("tokenizer.ggml.tokens")->strings) {
    piece_bytes_max_ = std::max(piece_bytes_max_, token.size());
  }
}

void Spm::encode(std::string_view text, const Vocabulary& vocabulary,
                 std::vector<TokenId>& out) const {
  std::vector<MergeSymbol> symbols = characters(text, vocabulary);
  const auto at = [&](std::int64_t i) -> MergeSymbol& {
    return symbols[static_cast<std::size_t>(i)];
  };

  std::priority_queue<Candidate> queue;
  const auto consider = [&](std::int64_t left, std::int64_t right) {
    if (left < 0 || right < 0) return;
    const std::uint32_t size = at(left).size + at(right).size;
    if (size > piece_bytes_max_) return;
    const auto found = vocabulary.ids.find(text.substr(at(left).begin, size));
    if (found == vocabulary.ids.end()) return;
    queue.push(
        {scores_[static_cast<std::size_t>(found->second)], left, right, size, found->second});
  };
  for (std::size_t i = 1; i < symbols.size(); ++i) {
    consider(static_cast<std::int64_t>(i) - 1, static_cast<std::int64_t>(i));
  }
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    MergeSymbol& left = at(best.left);
    MergeSymbol& right = at(best.right);
    if (left.size == 0 || right.size == 0 || left.size + right.size != best.size) continue;
    left.id = best.result;
    left.size += right.size;
    left.next = right.next;
    right.size = 0;
    if (left.next >= 0) at(left.next).previous = best.left;
    consider(left.previous, best.left);
    consider(best.left, left.next);
  }
  for (std::int64_t i = symbols.empty() ? -1 : 0; i >= 0; i = at(i).next) {
    if (at(i).id >= 0) {
      out.push_back(at(i).id);
      continue;
    }
    for (const char c : text.substr(at(i).begin, at(i).size)) {
      const TokenId byte = byte_ids_[static_cast<unsigned char>(c)];
      const TokenId id = byte >= 0 ? byte : unknown_;
      if (id >= 0) out.push_back(id);
    }
  }
}

}  // namespace tinderbox
