// Pieces of JSON text, written as other languages' writers do: embedding files are the same bytes in every language.
#pragma once

#include <string>
#include <string_view>

namespace kandinsky {

// Quotes a text as safetensors does: UTF-8 as it is; quotes, backslashes and control characters escaped.
std::string json_quote(std::string_view text);

// Quotes a UTF-8 text as Python's `json` does: all but printable ASCII escaped, past the basic plane as surrogates.
std::string json_quote_ascii(std::string_view text);

// Writes a finite number as Python's `repr` does: the shortest digits that read back as the same number.
std::string json_number(double value);

}  // namespace kandinsky
