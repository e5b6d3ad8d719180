#include <kandinsky/embedding.h>
#include <kandinsky/embedding_file.h>
#include <kandinsky/error.h>

#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include "receipt_json.h"
#include "safetensors.h"

namespace kandinsky {
namespace {

constexpr const char* kFingerprintKey = "prior_fingerprint";
constexpr const char* kReceiptsKey = "receipts";

// Turns float64, which the contract does not have, into float32.
void narrow(Tensor& tensor) {
  std::vector<float> values;
  values.reserve(tensor.data.size() / sizeof(double));
  if (tensor.data.size() % sizeof(double) != 0) {
    throw std::runtime_error("it is damaged: a tensor of F64 has half a number");
  }
  for (std::size_t place = 0; place < tensor.data.size(); place += sizeof(double)) {
    std::uint64_t bits = 0;
    for (std::size_t byte = sizeof(double); byte > 0; --byte) {
      bits = (bits << 8U) | static_cast<unsigned char>(tensor.data[place + byte - 1]);
    }
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    values.push_back(static_cast<float>(value));
  }
  tensor.dtype = "F32";
  tensor.data = make_embedding(values).data();
}

v1::Dtype dtype_of(const std::string& name, const std::string& stored) {
  if (stored == "F32") {
    return v1::DTYPE_F32;
  }
  if (stored == "F16") {
    return v1::DTYPE_F16;
  }
  if (stored == "BF16") {
    return v1::DTYPE_BF16;
  }
  throw std::runtime_error("`" + name + "` is " + stored + " and must be F32, F16, BF16 or F64");
}

// Cuts a tensor, [pairs, width] or [width], into embeddings.
std::vector<v1::Embedding> rows(const std::string& name, Tensor tensor, const std::string& fingerprint) {
  const std::size_t rank = tensor.shape.size();
  const std::int64_t width = rank == 0 ? 0 : tensor.shape.back();
  const std::int64_t count = rank == 2 ? tensor.shape.front() : 1;
  if (rank < 1 || rank > 2 || width < 1 || count < 1 || width > std::numeric_limits<std::int32_t>::max()) {
    throw std::runtime_error("`" + name + "` must be [pairs, width] or [width], and not empty");
  }
  if (tensor.dtype == "F64") {
    narrow(tensor);
  }
  const v1::Dtype dtype = dtype_of(name, tensor.dtype);
  const std::size_t row_bytes = static_cast<std::size_t>(width) * (dtype == v1::DTYPE_F32 ? 4 : 2);
  if (tensor.data.size() % row_bytes != 0 || tensor.data.size() / row_bytes != static_cast<std::size_t>(count)) {
    throw std::runtime_error("it is damaged: `" + name + "` has other bytes than its shape says");
  }
  std::vector<v1::Embedding> embeddings(static_cast<std::size_t>(count));
  for (std::size_t row = 0; row < embeddings.size(); ++row) {
    embeddings[row].set_data(tensor.data.substr(row * row_bytes, row_bytes));
    embeddings[row].set_dtype(dtype);
    embeddings[row].add_shape(static_cast<std::int32_t>(width));
    embeddings[row].set_prior_fingerprint(fingerprint);
  }
  return embeddings;
}

std::vector<v1::EmbeddingResult> results_of(const Safetensors& content) {
  const auto text = [&](const char* key) {
    const auto found = content.metadata.find(key);
    return found == content.metadata.end() ? std::string() : found->second;
  };
  const auto positive = content.tensors.find("positive");
  if (positive == content.tensors.end()) {
    throw std::runtime_error("it has no tensor `positive`");
  }
  auto positives = rows("positive", positive->second, text(kFingerprintKey));
  const auto negative = content.tensors.find("negative");
  const bool has_negative = negative != content.tensors.end();
  auto negatives = has_negative ? rows("negative", negative->second, text(kFingerprintKey)) : positives;
  if (negatives.size() != positives.size()) {
    throw std::runtime_error("it has " + std::to_string(positives.size()) + " rows of `positive` and " +
                             std::to_string(negatives.size()) + " of `negative`");
  }
  std::vector<v1::EmbeddingResult> results(positives.size());
  for (std::size_t row = 0; row < results.size(); ++row) {
    results[row].set_index(static_cast<std::int32_t>(row));
    *results[row].mutable_embeddings()->mutable_positive() = std::move(positives[row]);
    if (has_negative) {
      *results[row].mutable_embeddings()->mutable_negative() = std::move(negatives[row]);
    }
  }
  receipts_from_json(text(kReceiptsKey), results);
  return results;
}

// Stacks embeddings of one width: as float16 where all are, else as float32.
Tensor stacked(const std::vector<const v1::Embedding*>& embeddings) {
  bool half = true;
  for (const auto* embedding : embeddings) {
    half = half && embedding->dtype() == v1::DTYPE_F16;
  }
  Tensor tensor;
  tensor.dtype = half ? "F16" : "F32";
  std::size_t width = 0;
  for (const auto* embedding : embeddings) {
    const auto values = to_floats(*embedding);
    if (!tensor.data.empty() && values.size() != width) {
      throw std::invalid_argument("one file holds embeddings of one width");
    }
    width = values.size();
    tensor.data += half ? embedding->data() : make_embedding(values).data();
  }
  tensor.shape = {static_cast<std::int64_t>(embeddings.size()), static_cast<std::int64_t>(width)};
  return tensor;
}

}  // namespace

std::vector<v1::EmbeddingResult> load_embeddings(const std::filesystem::path& path) {
  try {
    return results_of(read_safetensors(path));
  } catch (const std::runtime_error& error) {
    throw EmbeddingFileError(path.string() + " is no file of embeddings: " + error.what());
  }
}

void save_embeddings(const std::filesystem::path& path, const std::vector<v1::EmbeddingResult>& embeddings) {
  if (embeddings.empty()) {
    throw std::invalid_argument("no embeddings were given");
  }
  const v1::EmbeddingPair& first = embeddings.front().embeddings();
  std::vector<const v1::Embedding*> positives;
  std::vector<const v1::Embedding*> negatives;
  for (const auto& result : embeddings) {
    const v1::EmbeddingPair& pair = result.embeddings();
    if (pair.positive().prior_fingerprint() != first.positive().prior_fingerprint() ||
        pair.has_negative() != first.has_negative()) {
      throw std::invalid_argument("one file holds pairs of one prior, all with a negative embedding or none");
    }
    positives.push_back(&pair.positive());
    if (pair.has_negative()) {
      negatives.push_back(&pair.negative());
    }
  }
  Safetensors content;
  content.tensors["positive"] = stacked(positives);
  if (!negatives.empty()) {
    content.tensors["negative"] = stacked(negatives);
  }
  content.metadata[kFingerprintKey] = first.positive().prior_fingerprint();
  content.metadata[kReceiptsKey] = receipts_to_json(embeddings);
  write_safetensors(path, content);
}

}  // namespace kandinsky
