# Cross compiles for aarch64 with Debian's g++-aarch64-linux-gnu; libraries come from the folder that
# cmake/aarch64_root.sh fills with Debian's arm64 packages, and nothing of the host's own is found in their place.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(TINDERBOX_ROOT ${CMAKE_CURRENT_LIST_DIR}/../build/arm64-root)
cmake_path(NORMAL_PATH TINDERBOX_ROOT)

set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_ASM_COMPILER ${CMAKE_CXX_COMPILER})
set(CMAKE_SYSROOT ${TINDERBOX_ROOT})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L ${TINDERBOX_ROOT})

set(CMAKE_FIND_ROOT_PATH ${TINDERBOX_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${TINDERBOX_ROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${TINDERBOX_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${TINDERBOX_ROOT}/usr/share/pkgconfig)
