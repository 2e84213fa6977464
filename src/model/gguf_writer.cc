#include "model/gguf_writer.h"

#include <cstring>

#include "base/check.h"
#include "model/gguf_format.h"

namespace tinderbox {
namespace {

template <class T>
void put(std::string& out, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

void put_string(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  out.append(text);
}

void pad(std::string& out) {
  out.append((kGgufAlignment - out.size() % kGgufAlignment) % kGgufAlignment, '\0');
}

constexpr auto id(GgufType type) { return static_cast<std::uint32_t>(type); }

}  // namespace

template <class T>
void GgufWriter::key_value(std::string_view key, std::uint32_t type, T value) {
  put_string(metadata_, key);
  put(metadata_, type);
  put(metadata_, value);
  ++n_keys_;
}

void GgufWriter::add(std::string_view key, std::string_view value) {
  key_value(key, id(GgufType::String), static_cast<std::uint64_t>(value.size()));
  metadata_.append(value);
}
void GgufWriter::add(std::string_view key, bool value) {
  key_value(key, id(GgufType::Bool), static_cast<std::uint8_t>(value));
}
void GgufWriter::add(std::string_view key, float value) {
  key_value(key, id(GgufType::F32), value);
}
void GgufWriter::add(std::string_view key, std::int32_t value) {
  key_value(key, id(GgufType::I32), value);
}
void GgufWriter::add(std::string_view key, std::uint32_t value) {
  key_value(key, id(GgufType::U32), value);
}
void GgufWriter::add(std::string_view key, std::uint64_t value) {
  key_value(key, id(GgufType::U64), value);
}

void GgufWriter::add(std::string_view key, std::span<const std::string> values) {
  key_value(key, id(GgufType::Array), id(GgufType::String));
  put(metadata_, static_cast<std::uint64_t>(values.size()));
  for (const std::string& value : values) put_string(metadata_, value);
}
void GgufWriter::add(std::string_view key, const std::vector<std::int32_t>& values) {
  key_value(key, id(GgufType::Array), id(GgufType::I32));
  put(metadata_, static_cast<std::uint64_t>(values.size()));
  for (const std::int32_t value : values) put(metadata_, value);
}
void GgufWriter::add(std::string_view key, const std::vector<float>& values) {
  key_value(key, id(GgufType::Array), id(GgufType::F32));
  put(metadata_, static_cast<std::uint64_t>(values.size()));
  for (const float value : values) put(metadata_, value);
}

void GgufWriter::add_tensor(std::string_view name, DType dtype,
                            const std::vector<std::int64_t>& dims,
                            std::span<const std::byte> data) {
  const auto type = ggml_type(dtype);
  CHECK(type && !dims.empty() && dims.size() <= 4);
  const DTypeInfo& info = dtype_info(dtype);
  CHECK(dims[0] % info.block_elements == 0);
  std::int64_t n_elements = 1;
  for (const std::int64_t dim : dims) n_elements *= dim;
  CHECK(static_cast<std::size_t>(n_elements / info.block_elements * info.block_bytes) ==
        data.size());

  put_string(infos_, name);
  put(infos_, static_cast<std::uint32_t>(dims.size()));
  for (const std::int64_t dim : dims) put(infos_, static_cast<std::uint64_t>(dim));
  put(infos_, *type);
  put(infos_, static_cast<std::uint64_t>(data_.size()));
  data_.append(reinterpret_cast<const char*>(data.data()), data.size());
  pad(data_);
  ++n_tensors_;
}

void GgufWriter::add_tensor(std::string_view name, const std::vector<std::int64_t>& dims,
                            std::span<const float> values) {
  add_tensor(name, DType::F32, dims, std::as_bytes(values));
}

std::vector<std::byte> GgufWriter::bytes() const {
  std::string out;
  put(out, kGgufMagic);
  put(out, kGgufVersion);
  put(out, n_tensors_);
  put(out, n_keys_);
  out += metadata_;
  out += infos_;
  pad(out);
  out += data_;
  const auto* begin = reinterpret_cast<const std::byte*>(out.data());
  return {begin, begin + out.size()};
}

}  // namespace tinderbox
