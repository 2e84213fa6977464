// The command line: parses arguments, calls the verb, turns every failure into one line on stderr
// and an exit code.
#pragma once

namespace tinderbox::cli {

// 0 done, 1 the answer is no, 2 wrong usage or bad input, 3 internal error.
int run_app(int argc, const char* const* argv);

}  // namespace tinderbox::cli
