#include "base/gzip.h"

#include <zlib.h>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr int kGzipWindow = 15 + 16;  // the largest window; 16: a gzip header, not zlib's
constexpr std::size_t kChunk = 256 * 1024;

struct Inflation {
  Inflation() {
    if (inflateInit2(&stream, kGzipWindow) != Z_OK) throw Error(Error::Code::Busy, "gzip: no memory left");
  }
  ~Inflation() { inflateEnd(&stream); }
  Inflation(const Inflation&) = delete;
  Inflation& operator=(const Inflation&) = delete;
  z_stream stream{};
};

}  // namespace

std::string gunzip(std::string_view packed, std::size_t bytes_max) {
  if (packed.size() > 1u << 30) throw_too_large("gzip: more than 1 GiB packed");
  Inflation inflation;
  z_stream& z = inflation.stream;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));  // zlib does not write there
  z.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  for (int end = Z_OK; end != Z_STREAM_END;) {
    const std::size_t before = out.size();
    out.resize(before + kChunk);
    z.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    z.avail_out = static_cast<uInt>(kChunk);
    end = inflate(&z, Z_NO_FLUSH);
    out.resize(before + kChunk - z.avail_out);
    if (out.size() > bytes_max) throw_too_large(format("gzip: more than {} bytes unpacked", bytes_max));
    if (end != Z_OK && end != Z_STREAM_END) {
      throw_invalid(format("gzip: {} after {} bytes", end == Z_BUF_ERROR ? "cut off" : "damaged", out.size()));
    }
  }
  return out;
}

}  // namespace tinderbox
