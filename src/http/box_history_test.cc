#include "http/box_history.h"

#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tinderbox {
namespace {

TEST(BoxHistory, GivesColumnsWithNullsAndRefusesOtherSpans) {
  Guarded<History> history;
  history.with([](History& h) {
    using Sample = std::vector<std::pair<std::string_view, double>>;
    h.append(1000, Sample{{"wall_w", 42.5}, {"gpu_c", std::nan("")}});
    h.append(1001, Sample{{"wall_w", 43}, {"gpu_c", 50}});
  });
  RouteTable routes;
  add_history_route(routes, history, [] { return 1001.5; });
  const auto ask = [&](std::string query) {
    HttpRequest request;
    request.path = "/box/history";
    request.query = std::move(query);
    return routes.handle(request);
  };
  for (const char* query : {"", "seconds=60", "a=b&seconds=86400", "seconds=%36%30"}) {
    const HttpResponse response = ask(query);
    EXPECT_EQ(response.status, 200) << query;
    EXPECT_EQ(nlohmann::json::parse(response.body)["series"]["gpu_c"].back(), 50) << query;
  }
  EXPECT_EQ(ask("seconds=60").body, R"({"at_unix":[1000,1001],"series":{"wall_w":[42.5,43],"gpu_c":[null,50]}})");
  EXPECT_EQ(ask("seconds=1").body, R"({"at_unix":[1001],"series":{"wall_w":[43],"gpu_c":[50]}})");
  for (const char* query : {"seconds=0", "seconds=-1", "seconds=86401", "seconds=x", "seconds=1.5"}) {
    EXPECT_EQ(ask(query).status, 400) << query;
  }
}

}  // namespace
}  // namespace tinderbox
