#include <kandinsky/error.h>

#include <array>
#include <utility>

namespace kandinsky {
namespace {

constexpr std::array<const char*, 17> kCodeNames = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

std::string name_of(grpc::StatusCode code) {
  const auto number = static_cast<std::size_t>(code);
  return number < kCodeNames.size() ? kCodeNames.at(number) : "code " + std::to_string(number);
}

std::string describe(const RpcFailure& failure) {
  std::string text = name_of(failure.code);
  if (!failure.reason.empty()) {
    text += " (" + failure.reason + ")";
  }
  text += ": " + failure.message;
  for (const auto& violation : failure.field_violations) {
    if (failure.message.find(violation.description) == std::string::npos) {
      text += " | " + violation.field + ": " + violation.description;
    }
  }
  if (!failure.request_id.empty()) {
    text += " | request " + failure.request_id;
  }
  return text;
}

}  // namespace

RpcError::RpcError(RpcFailure failure)
    : Error(describe(failure)), failure_(std::make_shared<const RpcFailure>(std::move(failure))) {}

std::string RpcError::code_name() const { return name_of(failure_->code); }

bool RpcError::is(v1::ErrorReason reason) const {
  return std::string(v1::ErrorReason_Name(reason)) == "ERROR_REASON_" + failure_->reason;
}

}  // namespace kandinsky
