// Recursive descent over Jinja's grammar (precedence as in jinja2's parser): template text to a
// Program.
#pragma once

#include <string_view>

#include "model/jinja_ast.h"

namespace tinderbox::jinja {

constexpr std::size_t kSourceBytesMax = 512u << 10;
constexpr int kNestingMax = 80;  // blocks within blocks, brackets within brackets

// Throws Error::Invalid on bad syntax, Error::Unsupported naming a construct, filter or test
// outside the subset, Error::TooLarge over the limits; each names the line.
Program parse(std::string_view source);

}  // namespace tinderbox::jinja
