// CHECK stops the process on a broken invariant of ours, in every build. What the outside world gets wrong
// is an Error (error.h), never a CHECK. DCHECK is for kernels: on in builds without NDEBUG only.
#pragma once

namespace tinderbox {

// Prints "file:line: CHECK failed: expression" with the stack's usual abort. Never returns.
[[noreturn]] void check_failed(const char* file, int line, const char* expression);

}  // namespace tinderbox

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::tinderbox::check_failed(__FILE__, __LINE__, #condition))
#ifdef NDEBUG
#define DCHECK(condition) static_cast<void>(sizeof(condition))
#else
#define DCHECK(condition) CHECK(condition)
#endif
