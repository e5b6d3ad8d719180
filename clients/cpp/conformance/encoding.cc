#include "encoding.h"

#include <openssl/evp.h>

#include <array>
#include <stdexcept>
#include <vector>

namespace {

const unsigned char* bytes_of(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

std::string from_base64(const std::string& text) {
  std::vector<unsigned char> bytes(text.size());
  const int size = EVP_DecodeBlock(bytes.data(), bytes_of(text), static_cast<int>(text.size()));
  if (size < 0) {
    throw std::invalid_argument("not base64");
  }
  // EVP_DecodeBlock gives the bytes of the padding too.
  const std::size_t end = text.find_last_not_of('=');
  const std::size_t padding = end == std::string::npos ? 0 : text.size() - end - 1;
  return {bytes.begin(), bytes.begin() + size - static_cast<int>(padding)};
}

std::string to_base64(const std::string& bytes) {
  std::vector<unsigned char> text(4 * ((bytes.size() + 2) / 3) + 1);
  const int size = EVP_EncodeBlock(text.data(), bytes_of(bytes), static_cast<int>(bytes.size()));
  return {text.begin(), text.begin() + size};
}

std::string sha256(const std::string& bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::string text;
  for (unsigned place = 0; place < size; ++place) {
    text += "0123456789abcdef"[digest.at(place) >> 4U];
    text += "0123456789abcdef"[digest.at(place) & 0xfU];
  }
  return text;
}
