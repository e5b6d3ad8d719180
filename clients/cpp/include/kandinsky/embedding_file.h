/// @file
/// Embeddings in `.safetensors` files, the same in every language.
///
/// A file has the tensors `positive` and, unless no pair has one, `negative`, each [pairs, width]: what diffusers takes
/// as `image_embeds` and `negative_image_embeds`. Its metadata holds `prior_fingerprint` and `receipts`, a JSON list.
#pragma once

#include <kandinsky/api.h>

#include <filesystem>
#include <vector>

namespace kandinsky {

/// Reads the pairs of a file; any with a tensor `positive` will do. float64 becomes float32.
/// @returns One result a row, `index` being the row. A receipt is set where the file has one.
/// @throws EmbeddingFileError The file cannot be read, holds something else, or is damaged.
std::vector<v1::EmbeddingResult> load_embeddings(const std::filesystem::path& path);

/// Writes pairs and their receipts to a file, making its folder and replacing what was there. float16 is kept; bfloat16
/// becomes float32, which holds it exactly.
/// @throws std::invalid_argument None are given; or they differ in width, prior or in having a negative embedding; or
/// one does not hold as many bytes as its shape and dtype say.
/// @throws std::system_error The file cannot be written.
void save_embeddings(const std::filesystem::path& path, const std::vector<v1::EmbeddingResult>& embeddings);

}  // namespace kandinsky
