// A GGUF v3 file (ggml docs, gguf.md) as metadata and tensor views into the mapping. Every count,
// offset and size is checked before use; nothing is copied but metadata. Hostile files end in
// Error::Invalid naming file, place and what was expected; other versions and unknown tensor types
// in Error::Unsupported when the tensor is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/mapped_file.h"
#include "model/config.h"
#include "model/dtype.h"

namespace tinderbox {

struct GgufArray;
using GgufValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string_view,
                               std::shared_ptr<const GgufArray>>;
struct GgufArray {
  std::vector<std::string_view> strings;  // exactly one of the three is used, by element type
  std::vector<double> numbers;            // every numeric element type (exact to 2^53)
  std::vector<std::uint8_t> bools;
};

// rows x cols, row-major; cols is GGUF's first dimension. 3-D tensors (experts) have rows = E * m.
struct TensorView {
  std::string name;
  DType dtype{};
  std::int64_t rows = 0, cols = 0;
  std::vector<std::int64_t> dims;  // as in the file, fastest first
  std::span<const std::byte> data;
};

class Gguf {
 public:
  static Gguf open(const std::filesystem::path& path);
  // Parses bytes that outlive the result (tests, fuzzing). name stands for the path in messages.
  static Gguf parse(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const { return name_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  // Typed look-ups; nullopt if the key is absent; Error::Invalid naming the key if it has another
  // type.
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  const GgufArray* array(std::string_view key) const;

  // Tensors of known types; find and at throw Error::Unsupported naming tensor and type for the
  // others.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  const TensorView* find(std::string_view tensor) const;
  // Throws Error::Invalid naming file and tensor if it is missing.
  const TensorView& at(std::string_view tensor) const;

 private:
  class Cursor;
  void read_tensors(Cursor& in, std::span<const std::byte> bytes, std::uint64_t n_tensors);
  static std::uint64_t read_dims(Cursor& in, TensorView& tensor);

  std::string name_;
  std::optional<MappedFile> file_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::uint32_t, std::less<>> foreign_;  // tensors of unknown ggml types
};

// The model in the file. Throws Error::Unsupported naming the architecture if there is no graph for
// it, and Error::Invalid naming the key that is missing or absurd. GGUF's "llama" stores q and k
// permuted: rope.interleaved.
ModelConfig config_from_gguf(const Gguf& file);

}  // namespace tinderbox
