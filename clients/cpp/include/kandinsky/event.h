/// @file
/// What happens during a call, and what is left when it has ended.
#pragma once

#include <kandinsky/api.h>

#include <variant>
#include <vector>

namespace kandinsky {

/// One event of a call. The messages are the contract's, with two promises added:
///
/// - an `EmbeddingResult` holds as many bytes as its shape and dtype say (`kandinsky::to_floats` gives the numbers);
/// - the `data` of an `ImageResult` is the whole image, joined from its chunks.
///
/// `Queued` comes first, and again when a call is tried again; `Completed` is the last.
using Event = std::variant<v1::Queued, v1::Progress, v1::Preview, v1::EmbeddingResult, v1::ImageResult, v1::Completed>;

/// The results of one call, each kind in the order of its index.
struct Results {
  /// Of the calls that make embeddings: `prior`, `interpolate` and `generate`.
  std::vector<v1::EmbeddingResult> embeddings;
  /// Of the calls that make images: all but `prior` and `interpolate`.
  std::vector<v1::ImageResult> images;
  /// Counts, the seed of the first result, times, and warnings.
  v1::Completed completed;
};

}  // namespace kandinsky
