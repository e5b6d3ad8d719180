#include "receipt_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <stdexcept>

#include "json_text.h"

namespace kandinsky {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string message_to_json(const Message& message);

// Writes a value as protobuf's JSON does: 64-bit integers are strings.
std::string value_to_json(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return '"' + std::to_string(reflection.GetInt64(message, &field)) + '"';
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return json_number(reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return json_quote_ascii(reflection.GetString(message, &field));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return message_to_json(reflection.GetMessage(message, &field));
    default:
      throw std::logic_error("a receipt has a field of a type that this client does not write: " +
                             std::string(field.name()));
  }
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) {
    text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

struct MapEntry {
  std::int64_t number;  // the key, should it be one
  std::string name;
  std::string value;
};

std::string map_to_json(const Message& message, const FieldDescriptor& field) {
  const FieldDescriptor& key = *field.message_type()->map_key();
  const FieldDescriptor& value = *field.message_type()->map_value();
  std::vector<MapEntry> entries;
  for (int place = 0; place < message.GetReflection()->FieldSize(message, &field); ++place) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, place);
    const bool is_text = key.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    const std::int64_t number = is_text ? 0 : entry.GetReflection()->GetInt32(entry, &key);
    const std::string name = is_text ? entry.GetReflection()->GetString(entry, &key) : std::to_string(number);
    entries.push_back({number, name, value_to_json(entry, value)});
  }
  std::sort(entries.begin(), entries.end(), [](const MapEntry& a, const MapEntry& b) {
    return a.number != b.number ? a.number < b.number : a.name < b.name;
  });
  std::vector<std::string> parts;
  parts.reserve(entries.size());
  for (const auto& entry : entries) {
    parts.push_back(json_quote_ascii(entry.name) + ": " + entry.value);
  }
  return "{" + joined(parts) + "}";
}

std::string field_to_json(const Message& message, const FieldDescriptor& field) {
  if (field.is_map()) {
    return map_to_json(message, field);
  }
  if (!field.is_repeated()) {
    return value_to_json(message, field);
  }
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_DOUBLE) {
    throw std::logic_error("a receipt has a list of a type that this client does not write: " +
                           std::string(field.name()));
  }
  const int count = message.GetReflection()->FieldSize(message, &field);
  std::vector<std::string> parts;
  parts.reserve(static_cast<std::size_t>(count));
  for (int place = 0; place < count; ++place) {
    parts.push_back(json_number(message.GetReflection()->GetRepeatedDouble(message, &field, place)));
  }
  return "[" + joined(parts) + "]";
}

std::string message_to_json(const Message& message) {
  if (message.GetDescriptor()->full_name() == "google.protobuf.Duration") {
    std::string text;
    if (!google::protobuf::util::MessageToJsonString(message, &text).ok()) {
      throw std::invalid_argument("a receipt's time is out of range");
    }
    return text;
  }
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  std::vector<std::string> parts;
  parts.reserve(fields.size());
  for (const FieldDescriptor* field : fields) {
    parts.push_back('"' + std::string(field->name()) + "\": " + field_to_json(message, *field));
  }
  return "{" + joined(parts) + "}";
}

std::string receipt_to_json(v1::Receipt receipt) {
  // Times that are 0 are written too.
  receipt.mutable_timings()->mutable_queued();
  receipt.mutable_timings()->mutable_denoising();
  receipt.mutable_timings()->mutable_total();
  return message_to_json(receipt);
}

v1::Receipt receipt_from_value(const google::protobuf::Value& value) {
  std::string text;
  v1::Receipt receipt;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  if (value.kind_case() != google::protobuf::Value::kStructValue ||
      !google::protobuf::util::MessageToJsonString(value, &text).ok() ||
      !google::protobuf::util::JsonStringToMessage(text, &receipt, options).ok()) {
    throw std::runtime_error("its metadata `receipts` holds something that is no receipt");
  }
  return receipt;
}

}  // namespace

std::string receipts_to_json(const std::vector<v1::EmbeddingResult>& embeddings) {
  std::vector<std::string> parts;
  parts.reserve(embeddings.size());
  for (const auto& embedding : embeddings) {
    parts.push_back(embedding.has_receipt() ? receipt_to_json(embedding.receipt()) : "null");
  }
  return "[" + joined(parts) + "]";
}

void receipts_from_json(const std::string& text, std::vector<v1::EmbeddingResult>& embeddings) {
  google::protobuf::Value receipts;
  if (text.empty() || text == "null") {
    return;
  }
  const bool parsed = google::protobuf::util::JsonStringToMessage(text, &receipts).ok();
  const auto& list = receipts.list_value().values();
  if (parsed && receipts.kind_case() == google::protobuf::Value::kListValue && list.empty()) {
    return;
  }
  if (!parsed || static_cast<std::size_t>(list.size()) != embeddings.size()) {
    throw std::runtime_error("its metadata `receipts` is no JSON list of " + std::to_string(embeddings.size()) +
                             ", one a row");
  }
  for (int row = 0; row < list.size(); ++row) {
    if (list[row].kind_case() != google::protobuf::Value::kNullValue) {
      *embeddings[static_cast<std::size_t>(row)].mutable_receipt() = receipt_from_value(list[row]);
    }
  }
}

}  // namespace kandinsky
