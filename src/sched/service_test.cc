#include "sched/service.h"

#include <gtest/gtest.h>

namespace tinderbox {
namespace {

TEST(Service, KeysThatComeAndGoAreForgottenButForThoseThatWereServedMost) {
  Service service;
  constexpr std::uint64_t kHog = 1'000'000, kDecodes = 1'000'001, kWaits = 1'000'002;
  service.reads(kHog, 1'000'000);
  service.begins(kDecodes, 0);
  service.reads(kWaits, 1);
  for (std::uint64_t key = 1; key <= 100'000; ++key) {
    service.reads(key, 10);
    service.forget_idle([](std::uint64_t k) { return k == kWaits; });
    ASSERT_LE(service.n_keys(), 1025u);
  }
  EXPECT_EQ(service.of(kHog, 7), 1'000'000);
  EXPECT_EQ(service.of(kDecodes, 7), 14);
  EXPECT_EQ(service.of(kWaits, 7), 1);
  EXPECT_EQ(service.of(1, 7), 0);
  EXPECT_EQ(service.of(100'000, 7), 10);
}

// Very many at work at once: none is forgotten, and not all are looked at for each that comes.
TEST(Service, NobodyAtWorkIsForgotten) {
  Service service;
  std::int64_t n_asked = 0;
  for (std::uint64_t key = 1; key <= 20'000; ++key) {
    service.reads(key, 5);
    service.forget_idle([&](std::uint64_t) { return ++n_asked > 0; });
  }
  EXPECT_EQ(service.n_keys(), 20'000u);
  EXPECT_LT(n_asked, 4 * 20'000);
}

}  // namespace
}  // namespace tinderbox
