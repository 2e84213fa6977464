// The regular expressions of JSON Schema's `pattern` (ECMA 262's) as rules of a grammar, for the text of a JSON string.
#pragma once

#include <string>
#include <string_view>

#include "model/grammar.h"

namespace tinderbox {

// Without the quotes; where the pattern is not anchored by ^ and $, any text stands before and after. Characters,
// classes, \d \w \s and their opposites, groups, |, *, +, ?, {m,n}. Throws Error::Unsupported naming what a grammar
// cannot hold (lookaround, back references, \b, \p{}, anchors inside), Error::Invalid if it is no expression; where
// begins the message.
Grammar::Rule add_json_pattern(Grammar& grammar, std::string_view pattern, const std::string& where);

}  // namespace tinderbox
