#include "sched/prefix_cache.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace tinderbox {
namespace {

// Kinds of keys that are no hash; those of hashes have the highest bit.
constexpr std::uint64_t kContent = 1, kOwn = 2, kHash = std::uint64_t{1} << 63;

class Hash {
 public:
  void add(std::uint64_t word) {
    high_ = mix(high_ ^ word, 0x9E3779B97F4A7C15);  // odd constants with evenly spread bits
    low_ = mix(low_ + word, 0xC2B2AE3D27D4EB4F);
  }
  BlockKey key() const { return {high_ | kHash, low_}; }

 private:
  static std::uint64_t mix(std::uint64_t x, std::uint64_t factor) {
    x *= factor;
    x ^= x >> 29;
    x *= factor;
    return x ^ (x >> 32);
  }
  std::uint64_t high_ = 0x243F6A8885A308D3, low_ = 0x13198A2E03707344;  // digits of pi
};

void append(std::vector<KeyRun>& keys, const BlockKey& key, std::int64_t n_blocks) {
  if (!keys.empty() && keys.back().key == key) {
    keys.back().n_blocks += n_blocks;
  } else {
    keys.push_back({key, n_blocks});
  }
}

}  // namespace

BlockKey own_key(SeqId seq) { return {kOwn, static_cast<std::uint64_t>(seq)}; }

std::vector<KeyRun> keys_of(std::span<const Content> contents, std::int32_t block_tokens) {
  std::vector<KeyRun> keys;
  Hash mixed;
  std::int64_t n_mixed = 0;  // tokens of a block with several contents
  for (const Content& content : contents) {
    std::int64_t n_left = content.n_tokens;
    if (n_mixed > 0) {
      const std::int64_t n = std::min(n_left, block_tokens - n_mixed);
      mixed.add(content.id);
      mixed.add(static_cast<std::uint64_t>(n));
      n_left -= n;
      n_mixed = (n_mixed + n) % block_tokens;
      if (n_mixed == 0) append(keys, mixed.key(), 1);
    }
    if (const std::int64_t n = n_left / block_tokens; n > 0)
      append(keys, {kContent, content.id}, n);
    if (const std::int64_t n = n_left % block_tokens; n > 0) {
      mixed = {};
      mixed.add(content.id);
      mixed.add(static_cast<std::uint64_t>(n));
      n_mixed = n;
    }
  }
  return keys;
}

void append_keys(std::vector<KeyRun>& keys, std::span<const TokenId> tokens,
                 std::int32_t block_tokens, const SipKey& secret) {
  const auto n = static_cast<std::size_t>(block_tokens);
  for (std::size_t i = static_cast<std::size_t>(n_blocks(keys)) * n; i + n <= tokens.size();
       i += n) {
    const SipHash128 hash = siphash128(secret, std::as_bytes(tokens.subspan(i, n)));
    append(keys, {hash.high | kHash, hash.low}, 1);
  }
}

std::int64_t n_blocks(std::span<const KeyRun> keys) {
  std::int64_t n = 0;
  for (const KeyRun& run : keys) n += run.n_blocks;
  return n;
}

std::size_t PrefixCache::ChildHash::operator()(const Child& c) const {
  // Keys are hashes already, or numbers given in turn.
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
  return static_cast<std::size_t>(c.key.low ^ (c.key.high + static_cast<std::uint64_t>(c.parent)) * kOdd);
}

PrefixCache::Node PrefixCache::add_root() {
  runs_.emplace_back();
  return static_cast<Node>(std::ssize(runs_) - 1);
}

PrefixCache::Node PrefixCache::find(Node parent, const BlockKey& key) const {
  if (!key.findable()) return -1;
  const auto it = children_.find({parent, key});
  return it == children_.end() ? -1 : it->second;
}

PrefixCache::Node PrefixCache::add(Node parent, BlockKey key) {
  Node node;
  if (unused_.empty()) {
    node = add_root();
  } else {
    node = unused_.back();
    unused_.pop_back();
  }
  at(node).key = key;
  at(node).parent = parent;
  if (key.findable()) children_[{parent, key}] = node;
  return node;
}

// Has no blocks, holders or children any more.
void PrefixCache::remove(Node node) {
  Run& run = at(node);
  CHECK(run.n_blocks == 0 && run.n_holders == 0 && run.ids.empty());
  unlink(node);
  if (run.key.findable()) children_.erase({run.parent, run.key});
  run = {};
  unused_.push_back(node);
}

// Before next, or, if that is -1, as the newest.
void PrefixCache::link_before(Node node, Node next) {
  Run& run = at(node);
  run.after = next;
  run.before = next < 0 ? newest_ : at(next).before;
  (run.before < 0 ? oldest_ : at(run.before).after) = node;
  (next < 0 ? newest_ : at(next).before) = node;
}

void PrefixCache::unlink(Node node) {
  Run& run = at(node);
  (run.before < 0 ? oldest_ : at(run.before).after) = run.after;
  (run.after < 0 ? newest_ : at(run.after).before) = run.before;
  run.before = run.after = -1;
}

// The first blocks of the node become its parent, which is returned.
PrefixCache::Node PrefixCache::split(Node node, std::int64_t n) {
  const Node parent = at(node).parent;
  const Node upper = add(parent, at(node).key);
  Run& low = at(node);
  Run& high = at(upper);
  CHECK(n > 0 && n < low.n_blocks);
  high.n_blocks = n;
  low.n_blocks -= n;
  low.parent = upper;
  if (low.key.findable()) children_[{upper, low.key}] = node;
  if (!low.ids.empty()) {
    high.ids.assign(low.ids.begin(), low.ids.begin() + n);
    low.ids.erase(low.ids.begin(), low.ids.begin() + n);
  }
  if (low.n_holders > 0) {
    high.n_holders = 1;
  } else {
    link_before(upper, low.after);
  }
  return upper;
}

PrefixCache::Match PrefixCache::match(Node root, std::span<const KeyRun> keys,
                                      std::int64_t n_max) const {
  Match match;
  Node node = root;
  for (const KeyRun& run : keys) {
    for (std::int64_t n_left = std::min(run.n_blocks, n_max - match.n_blocks); n_left > 0;) {
      node = find(node, run.key);
      if (node < 0) return match;
      const std::int64_t n = std::min(n_left, at(node).n_blocks);
      match.n_blocks += n;
      if (at(node).n_holders == 0) match.n_idle += n;
      if (n < at(node).n_blocks) return match;  // another key follows, or nothing
      n_left -= n;
    }
  }
  return match;
}

void PrefixCache::hold(Node node) {
  for (; node >= 0 && at(node).n_blocks > 0 && at(node).n_holders++ == 0; node = at(node).parent) {
    unlink(node);
    n_idle_ -= at(node).n_blocks;
    n_used_ += at(node).n_blocks;
  }
}

void PrefixCache::release(Node node) {
  for (; node >= 0 && at(node).n_blocks > 0; node = at(node).parent) {
    CHECK(at(node).n_holders > 0);
    if (--at(node).n_holders > 0) return;
    link_before(node, -1);
    n_idle_ += at(node).n_blocks;
    n_used_ -= at(node).n_blocks;
  }
}

PrefixCache::Node PrefixCache::acquire(Node root, std::span<const KeyRun> keys,
                                       std::int64_t n_blocks) {
  Node node = root;
  for (const KeyRun& run : keys) {
    for (std::int64_t n_left = std::min(run.n_blocks, n_blocks); n_left > 0;) {
      node = find(node, run.key);
      CHECK(node >= 0);
      if (at(node).n_blocks > n_left) node = split(node, n_left);
      n_left -= at(node).n_blocks;
      n_blocks -= at(node).n_blocks;
    }
  }
  CHECK(n_blocks == 0);
  hold(node);
  return node;
}

PrefixCache::Put PrefixCache::put(Node old, std::span<const KeyRun> keys, std::int64_t from,
                                  std::int64_t to, std::span<BlockId> ids,
                                  std::vector<BlockId>& spare) {
  Put put{.node = old};
  std::int64_t n_skip = from, n_put = to - from;
  for (const KeyRun& run : keys) {
    const std::int64_t n_skipped = std::min(n_skip, run.n_blocks);
    n_skip -= n_skipped;
    for (std::int64_t n_left = std::min(run.n_blocks - n_skipped, n_put); n_left > 0;) {
      Node child = find(put.node, run.key);
      std::int64_t n = n_left;
      if (child < 0) {
        child = add(put.node, run.key);
        at(child).n_blocks = n;
        n_idle_ += n;
        link_before(child, -1);
        if (!ids.empty()) at(child).ids.assign(ids.begin(), ids.begin() + n);
      } else {
        if (at(child).n_blocks > n) child = split(child, n);
        n = at(child).n_blocks;
        put.n_spare += n;
        CHECK(std::cmp_equal(at(child).ids.size(), ids.empty() ? 0 : n));
        for (std::int64_t i = 0; i < std::ssize(at(child).ids); ++i) {
          spare.push_back(std::exchange(ids[static_cast<std::size_t>(i)],
                                        at(child).ids[static_cast<std::size_t>(i)]));
        }
      }
      put.node = child;
      if (!ids.empty()) ids = ids.subspan(static_cast<std::size_t>(n));
      n_left -= n;
      n_put -= n;
    }
  }
  CHECK(n_put == 0);
  hold(put.node);
  release(old);
  return put;
}

// The node's last n blocks, which nobody uses.
void PrefixCache::trim(Node node, std::int64_t n, std::vector<BlockId>& ids) {
  Run& run = at(node);
  if (!run.ids.empty()) {
    ids.insert(ids.end(), run.ids.rbegin(), run.ids.rbegin() + n);
    run.ids.resize(run.ids.size() - static_cast<std::size_t>(n));
  }
  run.n_blocks -= n;
  n_idle_ -= n;
  if (run.n_blocks == 0) remove(node);
}

void PrefixCache::leave(Node node, std::int64_t n_blocks, std::span<const BlockId> ids) {
  const Node child = add(node, {});
  Run& run = at(child);
  run.n_blocks = n_blocks;
  run.ids.assign(ids.begin(), ids.end());
  n_idle_ += n_blocks;
  link_before(child, -1);
}

std::int64_t PrefixCache::evict(std::int64_t n, std::vector<BlockId>& ids) {
  CHECK(n <= n_idle_);
  std::int64_t n_evicted = 0;
  while (n_evicted < n) {
    const Run& oldest = at(oldest_);
    const std::int64_t n_trimmed =
        oldest.key.findable() ? std::min(n - n_evicted, oldest.n_blocks) : oldest.n_blocks;
    trim(oldest_, n_trimmed, ids);
    n_evicted += n_trimmed;
  }
  return n_evicted;
}

std::int64_t PrefixCache::drop(Node root, std::span<const KeyRun> keys, std::vector<BlockId>& ids) {
  Node node = root;
  for (const KeyRun& run : keys) {
    std::int64_t n_left = run.n_blocks;
    for (Node next; n_left > 0 && (next = find(node, run.key)) >= 0; node = next)
      n_left -= at(next).n_blocks;
    if (n_left > 0) break;
  }
  std::int64_t n = 0;
  while (at(node).n_blocks > 0 && at(node).n_holders == 0) {
    const Node parent = at(node).parent;
    n += at(node).n_blocks;
    trim(node, at(node).n_blocks, ids);
    node = parent;
  }
  return n;
}

void PrefixCache::append_ids(Node node, std::vector<BlockId>& ids) const {
  std::vector<Node> path;
  for (; at(node).n_blocks > 0; node = at(node).parent) path.push_back(node);
  for (auto it = path.rbegin(); it != path.rend(); ++it) {
    ids.insert(ids.end(), at(*it).ids.begin(), at(*it).ids.end());
  }
}

std::vector<std::uint64_t> PrefixCache::state_of(Node node) const {
  std::vector<std::uint64_t> words = {static_cast<std::uint64_t>(at(node).n_holders)};
  for (; at(node).n_blocks > 0; node = at(node).parent) {
    const Run& run = at(node);
    words.insert(words.end(), {run.key.high, run.key.low, static_cast<std::uint64_t>(run.n_blocks)});
  }
  words.push_back(static_cast<std::uint64_t>(node));  // the root
  return words;
}

void PrefixCache::append_state(std::vector<std::uint64_t>& words) const {
  const auto append = [&](const std::vector<std::uint64_t>& more) {
    words.push_back(more.size());
    words.insert(words.end(), more.begin(), more.end());
  };
  for (Node node = oldest_; node >= 0; node = at(node).after) append(state_of(node));
  std::vector<std::vector<std::uint64_t>> used;
  for (Node node = 0; node < std::ssize(runs_); ++node) {
    if (at(node).n_holders > 0) used.push_back(state_of(node));
  }
  std::ranges::sort(used);
  for (const auto& run : used) append(run);
}

void PrefixCache::verify(std::vector<BlockId>& ids) const {
  std::int64_t n_idle = 0, n_used = 0, n_listed = 0;
  std::vector<std::int32_t> n_children_used(runs_.size());
  std::vector<bool> seen(runs_.size());
  for (Node node = oldest_, before = -1; node >= 0; before = node, node = at(node).after) {
    CHECK(at(node).n_holders == 0 && at(node).n_blocks > 0 && at(node).before == before);
    seen[static_cast<std::size_t>(node)] = true;
    CHECK(!seen[static_cast<std::size_t>(at(node).parent)]);  // children go first
    n_listed += at(node).n_blocks;
  }
  for (Node node = 0; node < std::ssize(runs_); ++node) {
    const Run& run = at(node);
    if (run.n_blocks == 0) continue;
    CHECK(run.ids.empty() || std::cmp_equal(run.ids.size(), run.n_blocks));
    CHECK(!run.key.findable() || find(run.parent, run.key) == node);
    CHECK(seen[static_cast<std::size_t>(node)] == (run.n_holders == 0));
    (run.n_holders == 0 ? n_idle : n_used) += run.n_blocks;
    if (run.n_holders > 0) ++n_children_used[static_cast<std::size_t>(run.parent)];
    ids.insert(ids.end(), run.ids.begin(), run.ids.end());
  }
  for (Node node = 0; node < std::ssize(runs_); ++node) {
    if (at(node).n_blocks > 0)
      CHECK(at(node).n_holders >= n_children_used[static_cast<std::size_t>(node)]);
  }
  CHECK(n_idle == n_idle_ && n_listed == n_idle_ && n_used == n_used_);
}

}  // namespace tinderbox
