// What `tinderbox top` shows: a function from the state of a box to lines of text.
#pragma once

#include <string>
#include <vector>

#include "http/state_document.h"

namespace tinderbox::cli {

// What was seen before, oldest first, a value for each look.
struct TopHistory {
  static constexpr std::size_t kLooksMax = 512;
  std::vector<double> gpu_utilisation, wall_w, gpu_c, generated_per_s;
  void add(const BoxState& state);
};

struct TopView {
  int width = 80, height = 0;  // height 0: as many lines as there are
  bool colour = false;
  int first_request = 0;        // of those in flight, that the list begins with
  std::string notice = {};      // e.g. that the server does not answer
};

// Each line has at most view.width columns, and there are at most view.height of them, if that is not 0.
std::vector<std::string> top_screen(const BoxState& state, const TopHistory& history, const TopView& view);

}  // namespace tinderbox::cli
