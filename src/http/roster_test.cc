#include "http/roster.h"

#include <gtest/gtest.h>

#include "http/route_table.h"

namespace tinderbox {
namespace {

TEST(Roster, FindsByIdAndByLatest) {
  Mailbox mailbox;
  const PlaceholderCodec codec;
  const Roster roster({{.info = {.id = "a", .context_max = 2}, .mailbox = &mailbox, .codec = &codec},
                       {.info = {.id = "b:8b", .context_max = 2}, .mailbox = &mailbox, .codec = &codec}});
  EXPECT_EQ(roster.find("a"), &roster.doors()[0]);
  EXPECT_EQ(roster.find("a:latest"), &roster.doors()[0]);
  EXPECT_EQ(roster.find("b:8b"), &roster.doors()[1]);
  EXPECT_EQ(roster.find("b"), nullptr);
  try {
    roster.at("c");
    FAIL() << "no such model";
  } catch (const RequestError& e) {
    EXPECT_EQ(e.status(), 404);
    EXPECT_NE(std::string(e.what()).find("'b:8b'"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace tinderbox
