// Base64 and SHA-256, as the cases and reports have them.
#pragma once

#include <string>

std::string from_base64(const std::string& text);
std::string to_base64(const std::string& bytes);
// In hexadecimal digits.
std::string sha256(const std::string& bytes);
