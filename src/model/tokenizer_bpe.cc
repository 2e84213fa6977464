#include <queue>
#include <tuple>

#include "base/error.h"
#include "base/text.h"
#include "model/tokenizer_vocab.h"

namespace tinderbox {
namespace {

constexpr std::uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

// A merge that was possible when it was queued.
struct Candidate {
  std::uint32_t rank;
  std::int64_t left;
  std::int64_t right;
  TokenId left_id, right_id, result;

  // priority_queue takes the largest first.
  bool operator<(const Candidate& other) const {
    return std::tie(rank, left) > std::tie(other.rank, other.left);
  }
};

}  // namespace

Bpe::Bpe(const Gguf& file, const Vocabulary& vocabulary, bool whole_words)
    : whole_words_(whole_words) {
  const auto find = [&](std::string_view piece) {
    const auto found = vocabulary.ids.find(piece);
    return found == vocabulary.ids.end() ? TokenId{-1} : found->second;
  };
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_[static_cast<std::size_t>(byte)] = find(std::string(1, static_cast<char>(byte)));
  }
  if (const auto id = file.integer("tokenizer.ggml.unknown_token_id");
      id && *id >= 0 && *id < vocabulary.size()) {
    unknown_ = static_cast<TokenId>(*id);
  }
  const GgufArray* merges = file.array("tokenizer.ggml.merges");
  if (merges == nullptr) {
    throw_invalid(format("{}: key tokenizer.ggml.merges is missing, which a gpt2 tokenizer needs",
                         file.name()));
  }
  merges_.reserve(merges->strings.size());
  for (std::size_t rank = 0; rank < merges->strings.size(); ++rank) {
    const std::string_view line = merges->strings[rank];
    const std::size_t space = line.find(' ', 1);
    if (space == std::string_view::npos) {
      throw_invalid(
          format("{}: entry {} of tokenizer.ggml.merges is not two pieces with a space between",
                 file.name(), rank));
    }
    const std::string left = bytes_of_letters(line.substr(0, space));
    const std::string right = bytes_of_letters(line.substr(space + 1));
    const TokenId left_id = find(left), right_id = find(right), result = find(left + right);
    if (left_id < 0 || right_id < 0 || result < 0) continue;  // cannot occur in an encoding
    merges_.try_emplace(pair_key(left_id, right_id),
                        Merge{static_cast<std::uint32_t>(rank), result});
  }
}

const Bpe::Merge* Bpe::merge(TokenId left, TokenId right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void Bpe::encode(std::string_view word, const Vocabulary& vocabulary,
                 std::vector<TokenId>& out) const {
  if (whole_words_) {
    if (const auto found = vocabulary.ids.find(word); found != vocabulary.ids.end()) {
      out.push_back(found->second);
      return;
    }
  }
  std::vector<MergeSymbol> symbols;
  symbols.reserve(word.size());
  const auto n = static_cast<std::int64_t>(word.size());
  for (std::int64_t i = 0; i < n; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<std::size_t>(i)]);
    symbols.push_back(
        {i - 1, i + 1 < n ? i + 1 : -1, static_cast<std::uint32_t>(i), 1, byte_ids_[byte]});
  }
  const auto at = [&](std::int64_t i) -> MergeSymbol& {
    return symbols[static_cast<std::size_t>(i)];
  };

  std::priority_queue<Candidate> queue;
  const auto consider = [&](std::int64_t left, std::int64_t right) {
    if (left < 0 || right < 0) return;
    const TokenId a = at(left).id, b = at(right).id;
    if (const Merge* found = merge(a, b))
      queue.push({found->rank, left, right, a, b, found->result});
  };
  for (std::int64_t i = 0; i + 1 < n; ++i) consider(i, i + 1);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    MergeSymbol& left = at(best.left);
    MergeSymbol& right = at(best.right);
    // Stale if either side has changed; a neighbour that was merged away has size 0.
    if (left.size == 0 || right.size == 0 || left.id != best.left_id || right.id != best.right_id)
      continue;
    left.id = best.result;
    left.size += right.size;
    left.next = right.next;
    right.size = 0;
    if (left.next >= 0) at(left.next).previous = best.left;
    consider(left.previous, best.left);
    consider(best.left, left.next);
  }
  for (std::int64_t i = 0; i >= 0 && i < n; i = at(i).next) {
    // A vocabulary without some byte cannot spell it; its unknown token, if there is one, stands
    // in.
    const TokenId id = at(i).id >= 0 ? at(i).id : unknown_;
    if (id >= 0) out.push_back(id);
  }
}

}  // namespace tinderbox
