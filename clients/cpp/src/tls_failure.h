// gRPC core's own sentences about TLS, in words that say what to change.
#pragma once

#include <optional>
#include <string>

namespace kandinsky {

// Returns what a message of gRPC core means when both ends disagree on encryption or trust; nothing for any other.
// The text is all there is to go by: gRPC has one code, UNAVAILABLE, for a server that is not there and for one whose
// certificate is not trusted.
std::optional<std::string> explain_tls_failure(const std::string& message);

}  // namespace kandinsky
