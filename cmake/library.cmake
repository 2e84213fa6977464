# Where time to build matters most. Not everywhere: a source that includes too little must fail somewhere.
option(TINDERBOX_PRECOMPILE "Precompile the headers that each layer includes most" OFF)

# All of it builds in two thirds of the time. Not where one source is changed at a time.
option(TINDERBOX_JOIN "Compile the sources of a layer several at once" OFF)

# tinderbox_layer(NAME SOURCES a.cc ... APART b.cc ... LINKS target ... PRECOMPILE <header> ...
#                 TESTS a_test.cc ... TEST_LINKS target ... TEST_SHARDS n
#                 THREAD_TESTS regex)
# One static library tinderbox_NAME and, with tests on, one executable NAME_test holding the unit tests
# that stand beside the sources. APART: those of the sources that are never joined with others, because they have
# names of their own in common with one. PRECOMPILE names the large headers that many of its sources include.
# THREAD_TESTS: under the sanitizer of threads only the tests of these files, which have threads.
function(tinderbox_layer name)
  cmake_parse_arguments(ARG "" "TEST_SHARDS;THREAD_TESTS" "SOURCES;APART;LINKS;PRECOMPILE;TESTS;TEST_LINKS" ${ARGN})
  add_library(tinderbox_${name} STATIC ${ARG_SOURCES})
  if(TINDERBOX_JOIN)
    set_target_properties(tinderbox_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    # An unnamed namespace of one of the joined sources is not in a header, as g++ supposes.
    target_compile_options(tinderbox_${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
  if(TINDERBOX_PRECOMPILE AND ARG_PRECOMPILE)
    target_precompile_headers(tinderbox_${name} PRIVATE <algorithm> <cmath> <filesystem> <fstream> <functional> <map>
      <memory> <optional> <set> <string> <vector> <fmt/format.h> ${ARG_PRECOMPILE})
  endif()
  target_include_directories(tinderbox_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(tinderbox_${name} PUBLIC ${ARG_LINKS})
  if(TINDERBOX_TESTS AND ARG_TESTS)
    if(ARG_THREAD_TESTS AND TINDERBOX_SANITIZE MATCHES thread)
      list(FILTER ARG_TESTS INCLUDE REGEX "${ARG_THREAD_TESTS}")
      set(ARG_TEST_SHARDS "")
    endif()
    tinderbox_test(${name}_test SHARDS ${ARG_TEST_SHARDS} SOURCES ${ARG_TESTS} LINKS tinderbox_${name} ${ARG_TEST_LINKS})
  endif()
endfunction()

# tinderbox_test(NAME SOURCES ... LINKS ... SHARDS n): a GoogleTest executable registered with CTest as one test, or as n
# that share the work and begin first (a long one would leave processors idle); it may read the repository at
# TINDERBOX_SOURCE_DIR.
function(tinderbox_test name)
  cmake_parse_arguments(ARG "" "SHARDS" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gtest GTest::gtest_main rapidcheck)
  target_compile_definitions(${name} PRIVATE TINDERBOX_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_precompile_headers(${name} PRIVATE <gtest/gtest.h> <string> <vector>)
  if(NOT ARG_SHARDS)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 900)
    return()
  endif()
  math(EXPR last "${ARG_SHARDS} - 1")
  foreach(i RANGE ${last})
    add_test(NAME ${name}_${i} COMMAND ${name})
    set_tests_properties(${name}_${i} PROPERTIES TIMEOUT 900 COST 1000
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${ARG_SHARDS};GTEST_SHARD_INDEX=${i}")
  endforeach()
endfunction()
