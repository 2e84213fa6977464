// What gzip packed (RFC 1952), by zlib: data that travels in the binary and is seldom read.
#pragma once

#include <string>
#include <string_view>

namespace tinderbox {

// Throws Error::Invalid if it is no gzip file, cut off or damaged; Error::TooLarge beyond `bytes_max` unpacked.
std::string gunzip(std::string_view packed, std::size_t bytes_max);

}  // namespace tinderbox
