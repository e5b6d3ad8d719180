#include "call_metadata.h"

#include <algorithm>
#include <stdexcept>
#include <string_view>

namespace kandinsky {
namespace {

bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

void check_pair(const std::string& key, const std::string& value) {
  if (key.empty() || !std::all_of(key.begin(), key.end(), is_key_character) || key.rfind("grpc-", 0) == 0) {
    throw std::invalid_argument("metadata key '" + key +
                                "' must be of a-z, 0-9, '-', '_' and '.', and not start with 'grpc-'");
  }
  if (!ends_with(key, "-bin") && !is_printable(value)) {
    throw std::invalid_argument("metadata '" + key +
                                "' must be printable ASCII; a key that ends in -bin takes any bytes");
  }
}

}  // namespace

void check_metadata(const Metadata& metadata) {
  for (const auto& [key, value] : metadata) {
    check_pair(key, value);
  }
}

Metadata bearer(const std::string& token) {
  if (token.empty()) {
    return {};
  }
  if (is_space(token.front()) || is_space(token.back())) {
    throw std::invalid_argument("token starts or ends with white space, such as a file's last newline; remove it");
  }
  if (!is_printable(token)) {
    throw std::invalid_argument("token must be printable ASCII: it holds a control character or a non-ASCII one");
  }
  return {{"authorization", "Bearer " + token}};
}

}  // namespace kandinsky
