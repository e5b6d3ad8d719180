// gRPC metadata of calls, checked here: gRPC itself would end the process at some, and blame the server for others.
#pragma once

#include <kandinsky/options.h>

#include <string>

namespace kandinsky {

// Throws std::invalid_argument for a key or a value that HTTP/2 cannot carry.
void check_metadata(const Metadata& metadata);

// Returns the metadata that shows a token; an empty one shows none. Throws std::invalid_argument for a token with
// characters that HTTP/2 cannot carry, or white space at an end.
Metadata bearer(const std::string& token);

}  // namespace kandinsky
