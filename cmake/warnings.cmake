# Warnings are errors for every target of ours; system headers are exempt by -isystem.
add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wnon-virtual-dtor -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False positives of g++ 12 in inlined standard-library code at -O2.
  add_compile_options(-Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overflow -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # libstdc++ 12's own stable_sort calls a function that it deprecates.
  add_compile_options(-Wno-deprecated-declarations)
endif()
# Floating point is reproducible: no contraction outside the kernels, which say MulAdd when they mean it.
add_compile_options(-ffp-contract=off)
if(TINDERBOX_SANITIZE)
  add_compile_options(-fsanitize=${TINDERBOX_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TINDERBOX_SANITIZE})
endif()
# Asio's executor has a fence, which this sanitizer does not see; where one is compiled in, one thread uses it.
if(TINDERBOX_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-tsan)
endif()
if(TINDERBOX_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
find_program(TINDERBOX_CCACHE ccache)
if(TINDERBOX_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TINDERBOX_CCACHE})
endif()
find_program(TINDERBOX_MOLD mold)
if(TINDERBOX_MOLD AND NOT CMAKE_CROSSCOMPILING)  # g++ looks for a linker of the other processor's name
  add_link_options(-fuse-ld=mold)
endif()
