#!/bin/sh
# depends.sh BINARY ROOT: the Debian packages that a cross-compiled BINARY needs, by the database of cmake/aarch64_root.sh.
# cpack would ask the host's, which knows of another processor's packages.
set -eu
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
mkdir "$work/debian"
: >"$work/debian/control"  # dpkg-shlibdeps wants to stand in a source package
cd "$work"
DEB_HOST_ARCH=arm64 dpkg-shlibdeps --admindir="$2/var/lib/dpkg" -l"$2/usr/lib/aarch64-linux-gnu" -l"$2/lib/aarch64-linux-gnu" \
  -O -e"$1" 2>"$work/log" >"$work/depends" || { cat "$work/log" >&2; exit 1; }
sed 's/^shlibs:Depends=//' "$work/depends"
