#include "json_text.h"

#include <array>
#include <charconv>
#include <cstdint>

namespace kandinsky {
namespace {

std::string unicode_escape(std::uint32_t unit) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "\\u";
  for (unsigned shift = 16; shift > 0; shift -= 4) {
    text += kDigits[(unit >> (shift - 4)) & 0xfU];
  }
  return text;
}

// Returns the escape that JSON has for this character, or nothing.
std::string_view short_escape(char c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return {};
  }
}

// Takes the character at `place` and moves past it. protobuf has checked that strings are UTF-8; should one not be, the
// rest of it is read as far as there are bytes.
std::uint32_t take_code_point(std::string_view text, std::size_t& place) {
  const auto first = static_cast<unsigned char>(text[place++]);
  const unsigned following = first < 0xc0U ? 0 : first < 0xe0U ? 1 : first < 0xf0U ? 2 : 3;
  std::uint32_t point = following == 0 ? first : first & (0x3fU >> following);
  for (unsigned byte = 0; byte < following && place < text.size(); ++byte) {
    point = (point << 6U) | (static_cast<unsigned char>(text[place++]) & 0x3fU);
  }
  return point;
}

}  // namespace

std::string json_quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (const auto escape = short_escape(c); !escape.empty()) {
      quoted += escape;
    } else if (static_cast<unsigned char>(c) < 0x20U) {
      quoted += unicode_escape(static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string json_quote_ascii(std::string_view text) {
  std::string quoted = "\"";
  for (std::size_t place = 0; place < text.size();) {
    const auto escape = short_escape(text[place]);
    const std::uint32_t point = take_code_point(text, place);
    if (!escape.empty()) {
      quoted += escape;
    } else if (point >= 0x20U && point < 0x7fU) {
      quoted += static_cast<char>(point);
    } else if (point < 0x10000U) {
      quoted += unicode_escape(point);
    } else {
      quoted += unicode_escape(0xd800U + ((point - 0x10000U) >> 10U));
      quoted += unicode_escape(0xdc00U + ((point - 0x10000U) & 0x3ffU));
    }
  }
  return quoted + '"';
}

std::string json_number(double value) {
  // `repr` has an exponent below 1e-4 and from 1e16 on.
  const double magnitude = value < 0 ? -value : value;
  const bool plain = value == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                                 plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(digits.data(), end.ptr);
  if (plain && text.find('.') == std::string::npos) {
    text += ".0";
  }
  return text;
}

}  // namespace kandinsky
