// Tensors and metadata in `.safetensors` files; knows nothing of embeddings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace kandinsky {

// One tensor as it is stored: `dtype` is safetensors' name for it, such as "F32" or "BF16".
struct Tensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::string data;
};

struct Safetensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

// Reads a file. Throws std::runtime_error when it cannot be read, is no such file, or is damaged.
Safetensors read_safetensors(const std::filesystem::path& path);

// Writes a file, making its folder and replacing what was there: metadata and tensors in the order of their names,
// which is safetensors' own where all have values of the same size. Throws std::system_error when it cannot be written.
void write_safetensors(const std::filesystem::path& path, const Safetensors& content);

}  // namespace kandinsky
