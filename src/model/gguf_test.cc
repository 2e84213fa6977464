// The reader against the writer, and against every way a file can be wrong that we could think of.
#include "model/gguf.h"

#include <cstring>
#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "model/gguf_format.h"
#include "model/gguf_writer.h"
#include "model/tokenizer.h"

namespace tinderbox {
namespace {

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

// A file with every kind of value that the writer knows, a small tokenizer and two tensors.
std::vector<std::byte> small_file() {
  GgufWriter out;
  out.add("general.architecture", "llama");
  out.add("general.name", "small");
  out.add("a.bool", true);
  out.add("a.i32", std::int32_t{-7});
  out.add("a.u32", std::uint32_t{4000000000U});
  out.add("a.u64", std::uint64_t{1} << 63);
  out.add("a.f32", 0.5F);
  out.add("a.numbers", std::vector<std::int32_t>{1, -2, 3});
  out.add("a.floats", std::vector<float>{0.25F, -1.0F});
  out.add("llama.block_count", std::uint32_t{1});
  out.add("tokenizer.ggml.model", "gpt2");
  out.add("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "ab", ""});
  out.add("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
  const std::vector<float> floats = {1, 2, 3, 4, 5, 6};
  out.add_tensor("floats", {3, 2}, floats);
  const std::vector<std::byte> quants(34 * 4, std::byte{9});
  out.add_tensor("quants", DType::Q8_0, {64, 2}, quants);
  return out.bytes();
}

// Parses a copy of exactly these bytes, so that a sanitizer sees any step outside, and touches all
// that was read.
void exercise(std::span<const std::byte> bytes) {
  const std::vector<std::byte> copy(bytes.begin(), bytes.end());
  const Gguf file = Gguf::parse(copy, "test.gguf");
  unsigned sum = 0;
  for (const TensorView& tensor : file.tensors()) {
    for (const std::byte b : tensor.data) sum += static_cast<unsigned>(b);
  }
  EXPECT_LE(sum, 255U * 65536U);
  for (const auto& use :
       {std::function<void()>([&] { config_from_gguf(file); }),
        std::function<void()>([&] { Tokenizer::from_gguf(file).encode("ab ba", true, true); })}) {
    try {
      use();
    } catch (const Error&) {
    }
  }
}

std::string message_of(std::string_view bytes, Error::Code code) {
  const std::string copy(bytes);
  try {
    Gguf::parse(as_bytes(copy), "test.gguf");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    EXPECT_NE(std::string(e.what()).find("test.gguf"), std::string::npos) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

TEST(Gguf, ReadsWhatTheWriterWrote) {
  const std::vector<std::byte> bytes = small_file();
  const Gguf file = Gguf::parse(bytes, "small");
  EXPECT_EQ(file.string("general.name"), "small");
  EXPECT_EQ(file.boolean("a.bool"), true);
  EXPECT_EQ(file.integer("a.i32"), -7);
  EXPECT_EQ(file.integer("a.u32"), 4000000000);
  EXPECT_EQ(file.number("a.u32"), 4e9);
  EXPECT_EQ(file.number("a.f32"), 0.5);
  EXPECT_EQ(file.array("a.numbers")->numbers, (std::vector<double>{1, -2, 3}));
  EXPECT_EQ(file.array("a.floats")->numbers, (std::vector<double>{0.25, -1.0}));
  EXPECT_EQ(file.array("tokenizer.ggml.tokens")->strings,
            (std::vector<std::string_view>{"a", "b", "ab", ""}));
  ASSERT_EQ(file.tensors().size(), 2U);
  const TensorView& floats = file.at("floats");
  EXPECT_EQ(floats.dtype, DType::F32);
  EXPECT_EQ(floats.cols, 3);
  EXPECT_EQ(floats.rows, 2);
  float last = 0;
  std::memcpy(&last, floats.data.data() + 20, sizeof last);
  EXPECT_EQ(last, 6.0F);
  const TensorView& quants = file.at("quants");
  EXPECT_EQ(quants.dtype, DType::Q8_0);
  EXPECT_EQ(quants.dims, (std::vector<std::int64_t>{64, 2}));
  EXPECT_EQ(quants.data.size(), 136U);
}

TEST(Gguf, LooksUpByType) {
  const std::vector<std::byte> bytes = small_file();
  const Gguf file = Gguf::parse(bytes, "small");
  EXPECT_EQ(file.integer("absent"), std::nullopt);
  EXPECT_EQ(file.array("absent"), nullptr);
  EXPECT_EQ(file.find("absent"), nullptr);
  EXPECT_THROW(file.at("absent"), Error);
  EXPECT_THROW(file.integer("general.name"), Error);
  EXPECT_THROW(file.integer("a.f32"), Error);
  EXPECT_THROW(file.integer("a.u64"), Error);  // above 2^63 - 1
  EXPECT_EQ(file.number("a.u64"), 9223372036854775808.0);
  EXPECT_THROW(file.number("a.bool"), Error);
  EXPECT_THROW(file.boolean("a.i32"), Error);
  EXPECT_THROW(file.string("a.i32"), Error);
  EXPECT_THROW(file.array("a.i32"), Error);
}

TEST(Gguf, MapsAFile) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "tinderbox_gguf_test.gguf";
  const std::vector<std::byte> bytes = small_file();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  Gguf file = Gguf::open(path);
  const Gguf moved = std::move(file);  // views stay good
  EXPECT_EQ(moved.string("general.name"), "small");
  EXPECT_EQ(moved.at("quants").data[0], std::byte{9});
  std::filesystem::remove(path);
  EXPECT_THROW(Gguf::open(path), Error);
}

TEST(Gguf, RefusesEveryTruncation) {
  const std::vector<std::byte> bytes = small_file();
  const std::size_t needed = bytes.size() - 24;  // 136 bytes of quants, padded to 160
  for (std::size_t n = 0; n < needed; ++n) {
    EXPECT_THROW(exercise(std::span(bytes).first(n)), Error) << n;
  }
  for (std::size_t n = needed; n <= bytes.size(); ++n)
    EXPECT_NO_THROW(exercise(std::span(bytes).first(n))) << n;
}

TEST(Gguf, SurvivesCorruption) {
  const std::vector<std::byte> good = small_file();
  Random random(1, Stream::Test);
  int refused = 0;
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int value : {0, 1, 0x7f, 0xff, static_cast<int>(random.range(0, 255))}) {
      std::vector<std::byte> bytes = good;
      bytes[at] = static_cast<std::byte>(value);
      try {
        exercise(bytes);
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 500);  // most of the header matters
}

// Builds headers by hand, to say what the writer cannot.
struct Raw {
  std::string bytes = "GGUF";
  template <class T>
  Raw& put(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Raw& text(std::string_view value) {
    put(std::uint64_t{value.size()});
    bytes += value;
    return *this;
  }
  Raw& head(std::uint64_t n_tensors, std::uint64_t n_keys) {
    return put(kGgufVersion).put(n_tensors).put(n_keys);
  }
  Raw& tensor(std::string_view name, std::vector<std::uint64_t> dims, std::uint32_t type,
              std::uint64_t offset) {
    text(name).put(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) put(dim);
    return put(type).put(offset);
  }
  Raw& zeros(std::size_t n) {
    bytes.append(n, '\0');
    return *this;
  }
};

TEST(Gguf, SaysWhatIsNotGguf) {
  EXPECT_NE(message_of("", Error::Code::Invalid).find("not a GGUF file"), std::string::npos);
  EXPECT_NE(message_of("PK\3\4 zip", Error::Code::Invalid).find("not a GGUF file"),
            std::string::npos);
  EXPECT_NE(message_of("GGUF", Error::Code::Invalid).find("byte 4"), std::string::npos);
  for (const std::uint32_t version : {0U, 1U, 2U, 4U}) {
    const std::string message =
        message_of(Raw().put(version).zeros(64).bytes, Error::Code::Unsupported);
    EXPECT_NE(message.find("version " + std::to_string(version)), std::string::npos) << message;
  }
  const std::string big =
      message_of(Raw().put(std::uint32_t{0x03000000}).bytes, Error::Code::Unsupported);
  EXPECT_NE(big.find("big-endian"), std::string::npos);
}

TEST(Gguf, BoundsEveryCountBeforeItAllocates) {
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  constexpr auto kArray = static_cast<std::uint32_t>(GgufType::Array);
  const auto invalid = [](const Raw& raw) { return message_of(raw.bytes, Error::Code::Invalid); };
  invalid(Raw().head(kHuge, 0));
  invalid(Raw().head(0, kHuge));
  invalid(Raw().head(65537, 0));
  invalid(Raw().head(0, 1).put(kHuge));                                       // key length
  invalid(Raw().head(0, 1).text("k").put(std::uint32_t{8}).put(kHuge));       // string length
  invalid(Raw().head(0, 1).text("k").put(std::uint32_t{8}).put(kHuge - 60));  // wraps when added
  invalid(Raw().head(0, 1).text("k").put(std::uint32_t{13}));                 // value type
  invalid(Raw().head(0, 1).text("k").put(std::uint32_t{7}).put(std::uint8_t{2}));  // truth value
  for (std::uint32_t element = 0; element < 14; ++element) {
    for (const std::uint64_t n :
         {kHuge, std::uint64_t{1} << 61, std::uint64_t{1} << 24, std::uint64_t{100}}) {
      invalid(Raw().head(0, 1).text("k").put(kArray).put(element).put(n).zeros(20));
    }
  }
  Raw nested;
  nested.head(0, 1).text("k").put(kArray);
  for (int i = 0; i < 100000; ++i) nested.put(kArray).put(std::uint64_t{1});
  EXPECT_NE(invalid(nested).find("arrays"), std::string::npos);
  invalid(Raw()
              .head(0, 2)
              .text("k")
              .put(std::uint32_t{0})
              .put(std::uint8_t{1})
              .text("k")
              .put(std::uint32_t{0})
              .put(std::uint8_t{1}));
}

TEST(Gguf, BoundsEveryTensor) {
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  const auto invalid = [](Raw raw) {
    return message_of(raw.zeros(4096).bytes, Error::Code::Invalid);
  };
  EXPECT_NO_THROW(
      Gguf::parse(as_bytes(Raw().head(1, 0).tensor("t", {32}, 0, 0).zeros(4096).bytes), "good"));
  invalid(Raw().head(1, 0).tensor("t", {}, 0, 0));
  invalid(Raw().head(1, 0).tensor("t", {1, 1, 1, 1, 1}, 0, 0));
  invalid(Raw().head(1, 0).tensor("t", {0}, 0, 0));
  invalid(Raw().head(1, 0).tensor("t", {kHuge}, 0, 0));
  invalid(Raw().head(1, 0).tensor("t", {std::uint64_t{1} << 32, std::uint64_t{1} << 32}, 0, 0));
  invalid(Raw().head(1, 0).tensor("t", {std::uint64_t{1} << 40, 3, 5, 1 << 20}, 0, 0));
  invalid(Raw().head(1, 0).tensor("t", {32}, 0, 1));           // not aligned
  invalid(Raw().head(1, 0).tensor("t", {32}, 0, kHuge - 31));  // wraps when added
  invalid(Raw().head(1, 0).tensor("t", {32}, 0, 8192));        // beyond the end
  invalid(Raw().head(1, 0).tensor("t", {2048}, 0, 0));         // ends beyond it
  invalid(Raw().head(1, 0).tensor("t", {33}, 8, 0));           // not whole blocks of q8_0
  invalid(Raw().head(2, 0).tensor("t", {32}, 0, 0).tensor("t", {32}, 0, 0));
  for (const std::uint32_t alignment : {0U, 1U, 24U, 0x80000000U}) {
    invalid(Raw()
                .head(1, 1)
                .text("general.alignment")
                .put(std::uint32_t{4})
                .put(alignment)
                .tensor("t", {32}, 0, 0));
  }
  const std::string wide = Raw()
                               .head(1, 1)
                               .text("general.alignment")
                               .put(std::uint32_t{4})
                               .put(std::uint32_t{64})
                               .tensor("t", {32}, 0, 64)
                               .zeros(4096)
                               .bytes;
  const Gguf file = Gguf::parse(as_bytes(wide), "aligned");
  EXPECT_EQ((file.at("t").data.data() - as_bytes(wide).data()) % 64, 0);
}

TEST(Gguf, RefusesAnUnknownTypeOnlyWhenItIsUsed) {
  const std::string bytes =
      Raw().head(2, 0).tensor("odd", {32}, 99, 0).tensor("plain", {32}, 0, 0).zeros(4096).bytes;
  const Gguf file = Gguf::parse(as_bytes(bytes), "test.gguf");
  EXPECT_EQ(file.tensors().size(), 1U);
  EXPECT_NE(file.find("plain"), nullptr);
  try {
    file.at("odd");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Error::Code::Unsupported);
    EXPECT_NE(std::string(e.what()).find("odd has ggml type 99"), std::string::npos) << e.what();
  }
}

TEST(Gguf, NumbersOfFormatsAreThoseOfGgml) {
  EXPECT_EQ(dtype_of_ggml(2), DType::Q4_0);
  EXPECT_EQ(dtype_of_ggml(14), DType::Q6_K);
  EXPECT_EQ(dtype_of_ggml(4), std::nullopt);  // withdrawn
  for (std::uint32_t type = 0; type < 64; ++type) {
    if (const auto dtype = dtype_of_ggml(type)) {
      EXPECT_EQ(ggml_type(*dtype), type);
    }
  }
}

}  // namespace
}  // namespace tinderbox
