// Full KV blocks that are known by what they hold, so that whoever begins with the same tokens need
// not compute them again: a tree, as the block hash chain of vLLM is one, and as SGLang's radix
// tree. A node stands for a run of blocks; a path from the root for a beginning. Owned by KvPool,
// used by one thread.
//
// Blocks on the path to a node that a sequence holds are in use; the others stay until their room
// is needed, least recently used first and the end of a path before its beginning. Only full blocks
// are shared and nobody writes to a full block, so there is nothing to copy on write: a fork of a
// sequence is another request with the same beginning, which shares all but its last, partial
// block.
//
// A key has 128 bits of the tokens in a block, or names what a simulation says about them
// (keys_of); equal keys below one parent are taken for equal blocks. Tokens may be a stranger's, who must not get to
// another's KV by two blocks of one name: they are hashed with a key, which in a server is a secret (SipHash). What
// simulations say of contents is hashed without one.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/siphash.h"
#include "sched/request.h"

namespace tinderbox {

struct BlockKey {
  std::uint64_t high = 0, low = 0;
  bool findable() const { return high != 0 || low != 0; }
  friend bool operator==(const BlockKey&, const BlockKey&) = default;
};

// So many blocks one after the other that go by the same key. Not findable: like no other blocks.
struct KeyRun {
  BlockKey key;
  std::int64_t n_blocks = 0;
};

// Blocks that nobody but this sequence can ask for.
BlockKey own_key(SeqId seq);
// The full blocks of what the contents name, as runs.
std::vector<KeyRun> keys_of(std::span<const Content> contents, std::int32_t block_tokens);
// Appends those of tokens from block n_blocks(keys) on, as far as they are full.
void append_keys(std::vector<KeyRun>& keys, std::span<const TokenId> tokens,
                 std::int32_t block_tokens, const SipKey& secret);
std::int64_t n_blocks(std::span<const KeyRun> keys);

class PrefixCache {
 public:
  using Node = std::int32_t;
  static constexpr Node kRoot = 0;

  PrefixCache() { add_root(); }
  // Of a tree beside the first one.
  Node add_root();

  // How many blocks of a beginning are there, at most n_max, and how many of them nobody uses.
  struct Match {
    std::int64_t n_blocks = 0, n_idle = 0;
  };
  Match match(Node root, std::span<const KeyRun> keys, std::int64_t n_max) const;
  // Uses the first n_blocks, which match() has found. The node is to be released.
  Node acquire(Node root, std::span<const KeyRun> keys, std::int64_t n_blocks);
  void release(Node node);
  // The holder of `node`, which ends after `from` blocks, brings those up to `to`, and then holds
  // the node returned instead. Blocks that are there already take the place of the ones brought.
  // ids: of blocks from ... to, replaced by those of the tree; empty in runs without ids.
  struct Put {
    Node node = kRoot;
    std::int64_t n_spare = 0;  // brought, but there already
  };
  Put put(Node node, std::span<const KeyRun> keys, std::int64_t from, std::int64_t to,
          std::span<BlockId> ids, std::vector<BlockId>& spare);
  // Adds blocks that nobody can ask for below the node, in use by nobody.
  void leave(Node node, std::int64_t n_blocks, std::span<const BlockId> ids);
  // Forgets n <= n_idle() blocks or a few more that nobody can ask for; returns how many. The ids of those that
  // have some are appended.
  std::int64_t evict(std::int64_t n, std::vector<BlockId>& ids);
  // Forgets what nobody uses of this one beginning; returns how many blocks, and appends ids.
  // Requires that no other one has blocks in common with it.
  std::int64_t drop(Node root, std::span<const KeyRun> keys, std::vector<BlockId>& ids);
  // Appends the ids of the blocks on the path to the node.
  void append_ids(Node node, std::vector<BlockId>& ids) const;

  std::int64_t n_idle() const { return n_idle_; }
  std::int64_t n_used() const { return n_used_; }
  // Appends what its future depends on: who is there below whom, in use by how many, and in what order the others
  // will go; not which blocks they are.
  void append_state(std::vector<std::uint64_t>& words) const;
  // CHECKs counts, order and links, and sees every id.
  void verify(std::vector<BlockId>& ids) const;

 private:
  struct Run {
    BlockKey key;
    Node parent = -1;              // -1: a root
    std::int64_t n_blocks = 0;     // 0: a root, or not in use
    std::vector<BlockId> ids;      // empty in runs without ids
    std::int32_t n_holders = 0;    // sequences, and children in use
    Node before = -1, after = -1;  // in the list of idle ones
  };
  struct Child {
    Node parent;
    BlockKey key;
    friend bool operator==(const Child&, const Child&) = default;
  };
  struct ChildHash {
    std::size_t operator()(const Child& c) const;
  };

  Run& at(Node node) { return runs_[static_cast<std::size_t>(node)]; }
  const Run& at(Node node) const { return runs_[static_cast<std::size_t>(node)]; }
  Node find(Node parent, const BlockKey& key) const;
  Node add(Node parent, BlockKey key);  // by value: it may be that of a node, which moves
  void remove(Node node);
  Node split(Node node, std::int64_t n_blocks);
  void hold(Node node);
  void link_before(Node node, Node next);
  void unlink(Node node);
  std::vector<std::uint64_t> state_of(Node node) const;
  void trim(Node node, std::int64_t n, std::vector<BlockId>& ids);

  std::vector<Run> runs_;
  std::vector<Node> unused_;
  std::unordered_map<Child, Node, ChildHash> children_;  // looked up, never iterated
  Node oldest_ = -1, newest_ = -1;                       // idle runs, children before their parents
  std::int64_t n_idle_ = 0, n_used_ = 0;                 // blocks
};

}  // namespace tinderbox
