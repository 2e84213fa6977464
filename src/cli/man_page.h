// Manual pages in roff's man macros, from the command line as the parser takes it: tinderbox(1), and a page a verb.
#pragma once

#include <string>

#include "cli/verb_tree.h"

namespace tinderbox::cli {

// tinderbox.1
std::string man_page(const VerbFacts& tree, const std::string& version);
// tinderbox-VERB.1, with the verbs below it.
std::string man_page_of(const VerbFacts& tree, const VerbFacts& verb, const std::string& version);

}  // namespace tinderbox::cli
