/// @file
/// Embeddings as numbers.
#pragma once

#include <kandinsky/api.h>

#include <string>
#include <vector>

namespace kandinsky {

/// Returns the values of an embedding as float32, which holds those of each dtype exactly.
/// @throws std::invalid_argument The dtype is not known, or the bytes are not as many as shape and dtype say.
std::vector<float> to_floats(const v1::Embedding& embedding);

/// Makes an embedding of float32 values, of shape [width].
/// @param values The values.
/// @param prior_fingerprint The fingerprint of the prior that made it; empty is not checked by the server.
v1::Embedding make_embedding(const std::vector<float>& values, std::string prior_fingerprint = {});

}  // namespace kandinsky
