#include "model/gguf.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "model/gguf_format.h"

namespace tinderbox {
namespace {

// Limits on what a file may ask for before anything is allocated. Real files hold tens of keys and
// at most a few thousand tensors; the largest arrays are vocabularies and merges, below a million
// entries.
constexpr std::uint64_t kKeysMax = 65536, kTensorsMax = 65536;
constexpr std::uint64_t kNameBytesMax = 1024;
constexpr std::uint64_t kStringBytesMax = std::uint64_t{64} << 20;
constexpr std::uint64_t kArrayElementsMax = std::uint64_t{1} << 24;  // of all arrays together
constexpr std::uint64_t kDimMax = std::uint64_t{1} << 40;
constexpr std::uint64_t kElementsMax = std::uint64_t{1} << 48;
constexpr std::uint64_t kAlignmentMax = std::uint64_t{1} << 20;

std::size_t element_bytes(GgufType type) {
  switch (type) {
    case GgufType::U8:
    case GgufType::I8:
    case GgufType::Bool:
      return 1;
    case GgufType::U16:
    case GgufType::I16:
      return 2;
    case GgufType::U32:
    case GgufType::I32:
    case GgufType::F32:
      return 4;
    case GgufType::U64:
    case GgufType::I64:
    case GgufType::F64:
      return 8;
    case GgufType::String:
      return 8;  // at least its length
    case GgufType::Array:
      return 12;  // at least its type and count
  }
  return 1;
}

}  // namespace

// A place in the bytes; every read checks that the bytes are there.
class Gguf::Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  std::size_t at() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }

  [[noreturn]] void fail(std::string_view problem) const {
    throw_invalid(format("{}: byte {}: {}; the file is damaged or not finished, fetch it again",
                         name_, at_, problem));
  }

  template <class T>
  T read(std::string_view what) {
    if (left() < sizeof(T)) fail(format("the file ends inside {}", what));
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::uint64_t count(std::string_view what, std::uint64_t limit) {
    const auto n = read<std::uint64_t>(what);
    if (n > limit) fail(format("{} is {}, the limit is {}", what, n, limit));
    return n;
  }

  std::string_view string(std::string_view what, std::uint64_t limit) {
    const std::uint64_t size = count(format("the length of {}", what), limit);
    if (size > left()) fail(format("{} has {} bytes, but only {} are left", what, size, left()));
    const auto* begin = reinterpret_cast<const char*>(bytes_.data() + at_);
    at_ += size;
    return {begin, size};
  }

  GgufType type(std::string_view key) {
    const auto type = read<std::uint32_t>("a value type");
    if (type >= kGgufTypes) fail(format("key {} has the unknown value type {}", key, type));
    return static_cast<GgufType>(type);
  }

  bool boolean(std::string_view key) {
    const auto raw = read<std::uint8_t>("a truth value");
    if (raw > 1) fail(format("key {} has the truth value {}, expected 0 or 1", key, raw));
    return raw == 1;
  }

  GgufValue value(std::string_view key) {
    switch (type(key)) {
      case GgufType::U8:
        return std::uint64_t{read<std::uint8_t>(key)};
      case GgufType::I8:
        return std::int64_t{read<std::int8_t>(key)};
      case GgufType::U16:
        return std::uint64_t{read<std::uint16_t>(key)};
      case GgufType::I16:
        return std::int64_t{read<std::int16_t>(key)};
      case GgufType::U32:
        return std::uint64_t{read<std::uint32_t>(key)};
      case GgufType::I32:
        return std::int64_t{read<std::int32_t>(key)};
      case GgufType::U64:
        return read<std::uint64_t>(key);
      case GgufType::I64:
        return read<std::int64_t>(key);
      case GgufType::F32:
        return double{read<float>(key)};
      case GgufType::F64:
        return read<double>(key);
      case GgufType::Bool:
        return boolean(key);
      case GgufType::String:
        return string(key, kStringBytesMax);
      case GgufType::Array:
        return array(key);
    }
    fail("unreachable value type");
  }

 private:
  template <class T>
  void numbers(std::string_view key, std::uint64_t n, GgufArray& out) {
    out.numbers.reserve(n);
    for (std::uint64_t i = 0; i < n; ++i) out.numbers.push_back(static_cast<double>(read<T>(key)));
  }

  std::shared_ptr<const GgufArray> array(std::string_view key) {
    const GgufType element = type(key);
    const std::uint64_t n =
        count(format("the length of array {}", key), kArrayElementsMax - elements_);
    if (n > left() / element_bytes(element)) {
      fail(format("array {} has {} elements, but only {} bytes are left", key, n, left()));
    }
    elements_ += n;
    auto out = std::make_shared<GgufArray>();
    switch (element) {
      case GgufType::U8:
        numbers<std::uint8_t>(key, n, *out);
        break;
      case GgufType::I8:
        numbers<std::int8_t>(key, n, *out);
        break;
      case GgufType::U16:
        numbers<std::uint16_t>(key, n, *out);
        break;
      case GgufType::I16:
        numbers<std::int16_t>(key, n, *out);
        break;
      case GgufType::U32:
        numbers<std::uint32_t>(key, n, *out);
        break;
      case GgufType::I32:
        numbers<std::int32_t>(key, n, *out);
        break;
      case GgufType::U64:
        numbers<std::uint64_t>(key, n, *out);
        break;
      case GgufType::I64:
        numbers<std::int64_t>(key, n, *out);
        break;
      case GgufType::F32:
        numbers<float>(key, n, *out);
        break;
      case GgufType::F64:
        numbers<double>(key, n, *out);
        break;
      case GgufType::Bool:
        out->bools.reserve(n);
        for (std::uint64_t i = 0; i < n; ++i) out->bools.push_back(boolean(key) ? 1 : 0);
        break;
      case GgufType::String:
        out->strings.reserve(n);
        for (std::uint64_t i = 0; i < n; ++i) out->strings.push_back(string(key, kStringBytesMax));
        break;
      case GgufType::Array:
        fail(format("array {} holds arrays, which no supported key does", key));
    }
    return out;
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
  std::size_t at_ = 0;
  std::uint64_t elements_ = 0;
};

Gguf Gguf::open(const std::filesystem::path& path) {
  MappedFile file(path);
  Gguf out = parse(file.bytes(), path.string());
  out.file_ = std::move(file);  // the mapping does not move with its owner
  return out;
}

Gguf Gguf::parse(std::span<const std::byte> bytes, std::string name) {
  Gguf out;
  out.name_ = std::move(name);
  Cursor in(bytes, out.name_);
  if (bytes.size() < 4 || in.read<std::uint32_t>("the magic") != kGgufMagic) {
    throw_invalid(format("{}: not a GGUF file: it does not begin with \"GGUF\"", out.name_));
  }
  const auto version = in.read<std::uint32_t>("the version");
  if (version == __builtin_bswap32(kGgufVersion)) {
    throw_unsupported(format("{}: a big-endian GGUF file; convert it to little-endian", out.name_));
  }
  if (version != kGgufVersion) {
    throw_unsupported(
        format("{}: GGUF version {}; this program reads version {}: convert the model again",
               out.name_, version, kGgufVersion));
  }
  const std::uint64_t n_tensors = in.count("the number of tensors", kTensorsMax);
  const std::uint64_t n_keys = in.count("the number of keys", kKeysMax);
  for (std::uint64_t i = 0; i < n_keys; ++i) {
    const std::string_view key = in.string("a key", kNameBytesMax);
    if (!out.metadata_.emplace(key, in.value(key)).second)
      in.fail(format("key {} appears twice", key));
  }
  out.read_tensors(in, bytes, n_tensors);
  return out;
}

void Gguf::read_tensors(Cursor& in, std::span<const std::byte> bytes, std::uint64_t n_tensors) {
  std::uint64_t alignment = kGgufAlignment;
  if (const auto stated = integer("general.alignment")) {
    alignment = static_cast<std::uint64_t>(*stated);
    if (*stated < 8 || alignment > kAlignmentMax || !std::has_single_bit(alignment)) {
      throw_invalid(format("{}: general.alignment is {}, expected a power of two from 8 to {}",
                           name_, *stated, kAlignmentMax));
    }
  }
  struct Place {
    std::size_t tensor;
    std::uint64_t offset, size;
  };
  std::vector<Place> places;
  for (std::uint64_t i = 0; i < n_tensors; ++i) {
    TensorView tensor;
    tensor.name = in.string("a tensor name", kNameBytesMax);
    const std::uint64_t n_elements = read_dims(in, tensor);
    const auto type = in.read<std::uint32_t>("a tensor type");
    const auto offset = in.read<std::uint64_t>("a tensor offset");
    if (offset % alignment != 0) {
      in.fail(format("tensor {} is at offset {}, not a multiple of {}", tensor.name, offset,
                     alignment));
    }
    if (index_.contains(tensor.name) || foreign_.contains(tensor.name)) {
      in.fail(format("tensor {} appears twice", tensor.name));
    }
    const auto dtype = dtype_of_ggml(type);
    if (!dtype) {
      foreign_.emplace(tensor.name, type);
      continue;
    }
    tensor.dtype = *dtype;
    const DTypeInfo& info = dtype_info(*dtype);
    const auto block = static_cast<std::uint64_t>(info.block_elements);
    if (static_cast<std::uint64_t>(tensor.cols) % block != 0) {
      in.fail(format("tensor {} has rows of {} elements, not a multiple of {}'s block of {}",
                     tensor.name, tensor.cols, info.name, block));
    }
    places.push_back({tensors_.size(), offset,
                      n_elements / block * static_cast<std::uint64_t>(info.block_bytes)});
    index_.emplace(tensor.name, tensors_.size());
    tensors_.push_back(std::move(tensor));
  }
  const std::uint64_t begin = (in.at() + alignment - 1) / alignment * alignment;
  for (const Place& place : places) {
    const std::uint64_t have = begin < bytes.size() ? bytes.size() - begin : 0;
    if (place.offset > have || place.size > have - place.offset) {
      throw_invalid(format(
          "{}: tensor {} needs bytes {} to {} of the data at byte {}, but the file ends after {}; "
          "it is damaged or not finished, fetch it again",
          name_, tensors_[place.tensor].name, place.offset, place.offset + place.size, begin,
          have));
    }
    tensors_[place.tensor].data = bytes.subspan(begin + place.offset, place.size);
  }
}

std::uint64_t Gguf::read_dims(Cursor& in, TensorView& tensor) {
  const auto n_dims = in.read<std::uint32_t>("a number of dimensions");
  if (n_dims < 1 || n_dims > 4) {
    in.fail(format("tensor {} has {} dimensions, expected 1 to 4", tensor.name, n_dims));
  }
  std::uint64_t n_elements = 1;
  for (std::uint32_t d = 0; d < n_dims; ++d) {
    const auto dim = in.read<std::uint64_t>("a dimension");
    if (dim < 1 || dim > kDimMax || n_elements > kElementsMax / dim) {
      in.fail(format("tensor {} has the dimension {}: too large", tensor.name, dim));
    }
    n_elements *= dim;
    tensor.dims.push_back(static_cast<std::int64_t>(dim));
  }
  tensor.cols = tensor.dims[0];
  tensor.rows = static_cast<std::int64_t>(n_elements) / tensor.cols;
  return n_elements;
}

namespace {

[[noreturn]] void wrong_type(const std::string& file, std::string_view key,
                             std::string_view expected) {
  throw_invalid(format("{}: key {} has another type, expected {}", file, key, expected));
}

}  // namespace

std::optional<std::int64_t> Gguf::integer(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::nullopt;
  if (const auto* value = std::get_if<std::int64_t>(&found->second)) return *value;
  const auto* value = std::get_if<std::uint64_t>(&found->second);
  if (value == nullptr) wrong_type(name_, key, "an integer");
  if (*value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    throw_invalid(format("{}: key {} is {}: too large", name_, key, *value));
  }
  return static_cast<std::int64_t>(*value);
}

std::optional<double> Gguf::number(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::nullopt;
  if (const auto* value = std::get_if<double>(&found->second)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&found->second))
    return static_cast<double>(*value);
  if (const auto* value = std::get_if<std::uint64_t>(&found->second))
    return static_cast<double>(*value);
  wrong_type(name_, key, "a number");
}

std::optional<bool> Gguf::boolean(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::nullopt;
  const auto* value = std::get_if<bool>(&found->second);
  if (value == nullptr) wrong_type(name_, key, "a truth value");
  return *value;
}

std::optional<std::string_view> Gguf::string(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::nullopt;
  const auto* value = std::get_if<std::string_view>(&found->second);
  if (value == nullptr) wrong_type(name_, key, "a string");
  return *value;
}

const GgufArray* Gguf::array(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return nullptr;
  const auto* value = std::get_if<std::shared_ptr<const GgufArray>>(&found->second);
  if (value == nullptr) wrong_type(name_, key, "an array");
  return value->get();
}

const TensorView* Gguf::find(std::string_view tensor) const {
  if (const auto found = index_.find(tensor); found != index_.end())
    return &tensors_[found->second];
  if (const auto found = foreign_.find(tensor); found != foreign_.end()) {
    throw_unsupported(format(
        "{}: tensor {} has ggml type {}, which this program cannot read; take a file in another "
        "format (q4_k_m, q8_0, f16, ...)",
        name_, tensor, found->second));
  }
  return nullptr;
}

const TensorView& Gguf::at(std::string_view tensor) const {
  const TensorView* found = find(tensor);
  if (found == nullptr) throw_invalid(format("{}: tensor {} is missing", name_, tensor));
  return *found;
}

}  // namespace tinderbox
