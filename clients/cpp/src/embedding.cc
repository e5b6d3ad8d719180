#include <kandinsky/embedding.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace kandinsky {
namespace {

std::uint32_t little_endian(const std::string& data, std::size_t offset, std::size_t size) {
  std::uint32_t bits = 0;
  for (std::size_t byte = 0; byte < size; ++byte) {
    bits |= static_cast<std::uint32_t>(static_cast<unsigned char>(data[offset + byte])) << (8 * byte);
  }
  return bits;
}

float from_bits(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

float from_half(std::uint32_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16U;
  const std::uint32_t exponent = (half >> 10U) & 0x1fU;
  const std::uint32_t fraction = half & 0x3ffU;
  if (exponent == 0) {  // zero, or a number too small for the format's usual form
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wider = exponent == 0x1f ? 0xffU : exponent + 112U;
  return from_bits(sign | (wider << 23U) | (fraction << 13U));
}

float value_at(const v1::Embedding& embedding, std::size_t place) {
  switch (embedding.dtype()) {
    case v1::DTYPE_F16:
      return from_half(little_endian(embedding.data(), 2 * place, 2));
    case v1::DTYPE_BF16:
      return from_bits(little_endian(embedding.data(), 2 * place, 2) << 16U);
    default:
      return from_bits(little_endian(embedding.data(), 4 * place, 4));
  }
}

std::size_t value_bytes(v1::Dtype dtype) {
  switch (dtype) {
    case v1::DTYPE_F32:
      return 4;
    case v1::DTYPE_F16:
    case v1::DTYPE_BF16:
      return 2;
    default:
      throw std::invalid_argument("an embedding's dtype must be F32, F16 or BF16, not " + std::to_string(dtype));
  }
}

// Checks before it multiplies, so that a shape from outside cannot overflow.
std::size_t value_count(const v1::Embedding& embedding, std::size_t size) {
  const std::size_t held = embedding.data().size() / size;
  std::size_t count = 1;
  bool fits = !embedding.shape().empty();
  for (const std::int32_t length : embedding.shape()) {
    fits = fits && length > 0 && static_cast<std::size_t>(length) <= held / count;
    count *= fits ? static_cast<std::size_t>(length) : 1;
  }
  if (!fits || count * size != embedding.data().size()) {
    throw std::invalid_argument("an embedding's bytes, " + std::to_string(embedding.data().size()) +
                                ", are not as many as its shape and dtype say");
  }
  return count;
}

}  // namespace

std::vector<float> to_floats(const v1::Embedding& embedding) {
  std::vector<float> values(value_count(embedding, value_bytes(embedding.dtype())));
  for (std::size_t place = 0; place < values.size(); ++place) {
    values[place] = value_at(embedding, place);
  }
  return values;
}

v1::Embedding make_embedding(const std::vector<float>& values, std::string prior_fingerprint) {
  v1::Embedding embedding;
  std::string& data = *embedding.mutable_data();
  data.reserve(4 * values.size());
  for (const float value : values) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    for (unsigned byte = 0; byte < 4; ++byte) {
      data.push_back(static_cast<char>((bits >> (8 * byte)) & 0xffU));
    }
  }
  embedding.set_dtype(v1::DTYPE_F32);
  embedding.add_shape(static_cast<std::int32_t>(values.size()));
  embedding.set_prior_fingerprint(std::move(prior_fingerprint));
  return embedding;
}

}  // namespace kandinsky
