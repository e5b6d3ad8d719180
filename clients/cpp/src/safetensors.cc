#include "safetensors.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

#include "json_text.h"

namespace kandinsky {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr std::size_t kLengthBytes = 8;
// As safetensors itself: a header that is larger is an attack.
constexpr std::size_t kMostHeaderBytes = 100'000'000;
constexpr double kMostExact = 9007199254740992.0;  // 2^53

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(file), {});
  if (!file) {
    throw std::runtime_error("it cannot be read: " + std::generic_category().message(errno));
  }
  return content;
}

// Returns the header's bytes, which follow their number.
std::string header_of(const std::string& content) {
  if (content.size() < kLengthBytes) {
    throw std::runtime_error("it is too short");
  }
  std::uint64_t length = 0;
  for (std::size_t byte = kLengthBytes; byte > 0; --byte) {
    length = (length << 8U) | static_cast<unsigned char>(content[byte - 1]);
  }
  if (length > kMostHeaderBytes || length > content.size() - kLengthBytes) {
    throw std::runtime_error("it has no safetensors header");
  }
  return content.substr(kLengthBytes, length);
}

Struct parse_header(const std::string& text) {
  Struct header;
  if (text.empty() || text.front() != '{' || !google::protobuf::util::JsonStringToMessage(text, &header).ok()) {
    throw std::runtime_error("its safetensors header is no JSON object");
  }
  return header;
}

std::vector<std::int64_t> counts(const Struct& tensor, const std::string& field) {
  std::vector<std::int64_t> numbers;
  const auto found = tensor.fields().find(field);
  if (found == tensor.fields().end() || found->second.kind_case() != Value::kListValue) {
    throw std::runtime_error("a tensor has no list `" + field + "`");
  }
  for (const Value& value : found->second.list_value().values()) {
    const double number = value.number_value();
    if (value.kind_case() != Value::kNumberValue || !(number >= 0 && number <= kMostExact) ||
        number != std::floor(number)) {
      throw std::runtime_error("a tensor's `" + field + "` holds something that is no count");
    }
    numbers.push_back(static_cast<std::int64_t>(number));
  }
  return numbers;
}

struct Range {
  std::size_t begin;
  std::size_t end;
};

Tensor read_tensor(const Struct& stored, const std::string& content, std::size_t data_begin, Range& range) {
  const auto offsets = counts(stored, "data_offsets");
  const auto size = static_cast<std::int64_t>(content.size() - data_begin);
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > size) {
    throw std::runtime_error("it is damaged: a tensor lies outside of the file");
  }
  range = {static_cast<std::size_t>(offsets[0]), static_cast<std::size_t>(offsets[1])};
  const auto dtype = stored.fields().find("dtype");
  return {dtype == stored.fields().end() ? "" : dtype->second.string_value(), counts(stored, "shape"),
          content.substr(data_begin + range.begin, range.end - range.begin)};
}

// The tensors fill the file, one after the other: nothing hides between them, or behind.
void check_layout(std::vector<Range> ranges, std::size_t size) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
  std::size_t end = 0;
  for (const Range& range : ranges) {
    if (range.begin != end) {
      throw std::runtime_error("it is damaged: its tensors overlap, or leave gaps");
    }
    end = range.end;
  }
  if (end != size) {
    throw std::runtime_error("it is damaged: its tensors take " + std::to_string(end) + " bytes of " +
                             std::to_string(size));
  }
}

std::map<std::string, std::string> read_metadata(const Struct& stored) {
  std::map<std::string, std::string> metadata;
  for (const auto& [name, value] : stored.fields()) {
    if (value.kind_case() != Value::kStringValue) {
      throw std::runtime_error("its metadata `" + name + "` is no text");
    }
    metadata[name] = value.string_value();
  }
  return metadata;
}

std::string header_text(const Safetensors& content) {
  std::string text = "{\"__metadata__\":{";
  const char* separator = "";
  for (const auto& [name, value] : content.metadata) {
    text += separator + json_quote(name) + ":" + json_quote(value);
    separator = ",";
  }
  text += "}";
  std::size_t offset = 0;
  for (const auto& [name, tensor] : content.tensors) {
    text += "," + json_quote(name) + ":{\"dtype\":" + json_quote(tensor.dtype) + ",\"shape\":[";
    separator = "";
    for (const std::int64_t length : tensor.shape) {
      text += separator + std::to_string(length);
      separator = ",";
    }
    const std::size_t end = offset + tensor.data.size();
    text += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  text += "}";
  // Tensors begin at a multiple of 8 bytes.
  return text + std::string((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
}

}  // namespace

Safetensors read_safetensors(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  const std::string text = header_of(content);
  const Struct header = parse_header(text);
  const std::size_t data_begin = kLengthBytes + text.size();
  Safetensors result;
  std::vector<Range> ranges;
  for (const auto& [name, value] : header.fields()) {
    if (value.kind_case() != Value::kStructValue) {
      throw std::runtime_error("its header's `" + name + "` is no JSON object");
    }
    if (name == "__metadata__") {
      result.metadata = read_metadata(value.struct_value());
      continue;
    }
    result.tensors[name] = read_tensor(value.struct_value(), content, data_begin, ranges.emplace_back());
  }
  check_layout(std::move(ranges), content.size() - data_begin);
  return result;
}

void write_safetensors(const std::filesystem::path& path, const Safetensors& content) {
  const std::string header = header_text(content);
  if (path.has_parent_path()) {
    std::filesystem::create_directories(path.parent_path());
  }
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  for (std::size_t byte = 0; byte < kLengthBytes; ++byte) {
    file.put(static_cast<char>((header.size() >> (8 * byte)) & 0xffU));
  }
  file << header;
  for (const auto& [name, tensor] : content.tensors) {
    file << tensor.data;
  }
  file.close();
  if (!file) {
    throw std::system_error(errno, std::generic_category(), "cannot write " + path.string());
  }
}

}  // namespace kandinsky
