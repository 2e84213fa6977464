// Builds a GGUF v3 file (ggml docs, gguf.md) in memory: the mirror image of gguf.h, for tests and
// tools. Keys and tensors keep the order of the calls; tensor data is aligned to 32 bytes. Not made
// for large models: everything is held in memory once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/dtype.h"

namespace tinderbox {

class GgufWriter {
 public:
  void add(std::string_view key, std::string_view value);
  void add(std::string_view key, const char* value) { add(key, std::string_view(value)); }
  void add(std::string_view key, bool value);
  void add(std::string_view key, float value);
  void add(std::string_view key, std::int32_t value);
  void add(std::string_view key, std::uint32_t value);
  void add(std::string_view key, std::uint64_t value);
  void add(std::string_view key, std::span<const std::string> values);
  void add(std::string_view key, const std::vector<std::string>& values) {
    add(key, std::span<const std::string>(values));
  }
  void add(std::string_view key, const std::vector<std::int32_t>& values);
  void add(std::string_view key, const std::vector<float>& values);

  // dims as in the file: fastest first, so a row-major (rows, cols) matrix is {cols, rows}. CHECKs
  // that `data` has exactly the bytes the format needs and that the format exists in GGUF files.
  void add_tensor(std::string_view name, DType dtype, const std::vector<std::int64_t>& dims,
                  std::span<const std::byte> data);
  // The same for F32 values.
  void add_tensor(std::string_view name, const std::vector<std::int64_t>& dims,
                  std::span<const float> values);

  // The whole file.
  std::vector<std::byte> bytes() const;

 private:
  template <class T>
  void key_value(std::string_view key, std::uint32_t type, T value);

  std::string metadata_, infos_, data_;
  std::uint64_t n_keys_ = 0, n_tensors_ = 0;
};

}  // namespace tinderbox
