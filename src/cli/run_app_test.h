// For tests: the program as the command line starts it, and what it prints.
#pragma once

#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/app.h"

namespace tinderbox::cli {

// Its exit code.
inline int run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "tinderbox");
  return run_app(static_cast<int>(arguments.size()), arguments.data());
}

// What it prints, or its exit code if that is not 0.
inline nlohmann::json document(std::vector<const char*> arguments, const std::vector<const char*>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  ::testing::internal::CaptureStdout();
  const int code = run(arguments);
  const std::string out = ::testing::internal::GetCapturedStdout();
  return code == 0 ? nlohmann::json::parse(out) : nlohmann::json(code);
}

}  // namespace tinderbox::cli
