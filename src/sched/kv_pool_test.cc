#include "sched/kv_pool.h"

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"

namespace tinderbox {
namespace {

TEST(KvPool, GrowsByWholeBlocks) {
  KvPool pool(4, 16);
  EXPECT_TRUE(pool.grow(7, 1));
  EXPECT_EQ(pool.blocks(7).size(), 1u);
  EXPECT_TRUE(pool.grow(7, 16));
  EXPECT_EQ(pool.n_free(), 3);
  EXPECT_TRUE(pool.grow(7, 17));
  EXPECT_EQ(pool.n_free(), 2);
  EXPECT_TRUE(pool.blocks(8).empty());
}

TEST(KvPool, RefusalChangesNothing) {
  KvPool pool(3, 2);
  ASSERT_TRUE(pool.grow(1, 4));
  EXPECT_FALSE(pool.grow(2, 3));
  EXPECT_FALSE(pool.grow(1, 7));
  EXPECT_EQ(pool.n_free(), 1);
  EXPECT_EQ(pool.blocks(1).size(), 2u);
  EXPECT_TRUE(pool.blocks(2).empty());
  pool.verify();
}

TEST(KvPool, BlocksKeepTheirPlaceWhenGrowing) {
  KvPool pool(8, 1);
  ASSERT_TRUE(pool.grow(1, 2));
  const std::vector<BlockId> before(pool.blocks(1).begin(), pool.blocks(1).end());
  ASSERT_TRUE(pool.grow(2, 1));
  ASSERT_TRUE(pool.grow(1, 5));
  EXPECT_TRUE(std::equal(before.begin(), before.end(), pool.blocks(1).begin()));
}

TEST(KvPool, APromiseIsKeptForWhoeverSettlesIt) {
  KvPool pool(4, 16);
  ASSERT_TRUE(pool.promise(3));
  EXPECT_EQ(pool.n_free(), 1);
  EXPECT_FALSE(pool.promise(2));
  EXPECT_FALSE(pool.grow(2, 17));
  pool.settle(1, 20);  // two of them
  EXPECT_EQ(pool.blocks(1).size(), 2u);
  EXPECT_EQ(pool.n_promised(), 1);
  EXPECT_EQ(pool.n_free(), 1);
  pool.verify();
  pool.forgive(1);
  EXPECT_EQ(pool.n_free(), 2);
  pool.release(1);
  EXPECT_EQ(pool.n_free(), 4);
  EXPECT_DEATH(pool.forgive(1), "CHECK failed");
  EXPECT_DEATH(pool.settle(1, 1), "CHECK failed");
}

TEST(KvPoolDeathTest, ReleaseOfNothingIsABug) {
  KvPool pool(1, 1);
  EXPECT_DEATH(pool.release(5), "CHECK failed");
}

// Against a model that only counts.
TEST(KvPool, ConservesBlocksUnderRandomUse) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed, Stream::Test);
    KvPool pool(static_cast<std::int32_t>(random.range(1, 20)),
                static_cast<std::int32_t>(random.range(1, 5)));
    std::map<SeqId, std::int64_t> held;  // blocks
    std::int64_t n_held = 0;
    for (int i = 0; i < 200; ++i) {
      const SeqId seq = random.range(0, 5);
      if (held.contains(seq) && random.range(0, 3) == 0) {
        pool.release(seq);
        n_held -= held[seq];
        held.erase(seq);
      } else {
        const std::int64_t n_tokens = random.range(1, 30);
        const std::int64_t before = held.contains(seq) ? held[seq] : 0;
        const std::int64_t n_more = std::max<std::int64_t>(0, pool.blocks_for(n_tokens) - before);
        const bool fits = n_held + n_more <= pool.n_blocks();
        ASSERT_EQ(pool.grow(seq, n_tokens), fits) << "seed " << seed;
        if (fits) {
          held[seq] = before + n_more;
          n_held += n_more;
        }
      }
      pool.verify();
      ASSERT_EQ(pool.n_free(), pool.n_blocks() - n_held) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace tinderbox
