// Jinja's filters and tests, by name, with Jinja's semantics (jinja2 3.1, filters.py and tests.py).
#pragma once

#include <string_view>

#include "model/jinja_ast.h"

namespace tinderbox::jinja {

FilterFn find_filter(std::string_view name);  // nullptr: outside the subset
TestFn find_test(std::string_view name);

}  // namespace tinderbox::jinja
