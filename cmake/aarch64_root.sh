#!/bin/sh
# aarch64_root.sh FOLDER PACKAGE...: fills FOLDER with Debian's arm64 packages and all that they depend on, for
# cmake/aarch64.cmake to find headers and libraries in. Packages are unpacked, not installed: the host's own packages
# and the architectures it knows stay as they are, and none of this needs root.
set -eu
folder=$1
shift
[ "$(cat "$folder/packages" 2>/dev/null)" = "$*" ] && exit 0
rm -rf "$folder"
mkdir -p "$folder/apt/state/lists/partial" "$folder/apt/cache/archives/partial"
: >"$folder/apt/status"  # an apt of its own: no package is there yet

apt() {
  apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$folder/apt/state" \
    -o Dir::State::status="$folder/apt/status" -o Dir::Cache="$folder/apt/cache" -o Debug::NoLocking=true "$@"
}
apt update >"$folder/apt/log" 2>&1 || echo "aarch64_root.sh: some package lists cannot be had; see $folder/apt/log" >&2
apt install -y --no-install-recommends --download-only "$@" >>"$folder/apt/log" 2>&1 || {
  tail -n 20 "$folder/apt/log" >&2
  exit 1
}
# Which library is whose, and since which version it has what: dpkg's own database, for dpkg-shlibdeps.
database="$folder/var/lib/dpkg"
mkdir -p "$database/info" "$database/updates"
echo 1 >"$database/info/format"
printf 'amd64\narm64\n' >"$database/arch"
for deb in "$folder"/apt/cache/archives/*.deb; do
  dpkg-deb -x "$deb" "$folder"
  dpkg-deb -f "$deb" >>"$database/status"
  printf 'Status: install ok installed\n\n' >>"$database/status"
  name=$(dpkg-deb -f "$deb" Package)
  [ "$(dpkg-deb -f "$deb" Multi-Arch)" != same ] || name="$name:arm64"
  dpkg-deb --fsys-tarfile "$deb" | tar t | sed "s|^\.|$folder|; s|/\$||" >"$database/info/$name.list"
  for part in symbols shlibs; do
    dpkg-deb -I "$deb" $part >"$database/info/$name.$part" 2>/dev/null || rm "$database/info/$name.$part"
  done
done
# Links to absolute paths would lead out of the folder.
find "$folder" -type l -lname '/*' | while read -r link; do
  ln -sfn "$folder$(readlink "$link")" "$link"
done
rm -rf "$folder/apt/cache" "$folder/apt/state"
echo "$*" >"$folder/packages"
