#include "status.h"

#include <status_details.pb.h>

#include <chrono>
#include <utility>

#include "tls_failure.h"

namespace kandinsky {
namespace {

namespace details = ::kandinsky_client::details;

constexpr const char* kDomain = "kandinsky-grpc.github.io";
constexpr const char* kRequestIdKey = "x-request-id";

// Reads a detail of this type; returns whether it is one, and whole.
template <class Detail>
bool unpack(const google::protobuf::Any& packed, const std::string& name, Detail& detail) {
  const std::string& url = packed.type_url();
  return url.substr(url.rfind('/') + 1) == "google.rpc." + name && detail.ParseFromString(packed.value());
}

Seconds seconds(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + std::chrono::nanoseconds(duration.nanos());
}

void read_detail(const google::protobuf::Any& packed, RpcFailure& failure) {
  details::ErrorInfo info;
  details::BadRequest bad_request;
  details::RetryInfo retry_info;
  details::RequestInfo request_info;
  if (unpack(packed, "ErrorInfo", info) && info.domain() == kDomain) {
    failure.reason = info.reason();
    failure.metadata = {info.metadata().begin(), info.metadata().end()};
  } else if (unpack(packed, "BadRequest", bad_request)) {
    for (const auto& violation : bad_request.field_violations()) {
      failure.field_violations.push_back({violation.field(), violation.description()});
    }
  } else if (unpack(packed, "RetryInfo", retry_info)) {
    failure.retry_delay = seconds(retry_info.retry_delay());
  } else if (unpack(packed, "RequestInfo", request_info)) {
    failure.request_id = request_info.request_id();
  }
}

void read_details(const grpc::Status& status, RpcFailure& failure) {
  details::Status rich;
  // One that contradicts the status comes from a proxy that rewrote the status; its details are not about this one.
  if (!rich.ParseFromString(status.error_details()) || rich.code() != static_cast<int>(status.error_code())) {
    return;
  }
  for (const auto& packed : rich.details()) {
    read_detail(packed, failure);
  }
}

// Whether a proxy lost the server and cut the stream off, or the server ended as the call came: gRPC's servers then say
// CANCELLED. The statuses of this contract have reasons. Calls
// that the program cancelled end in the same words: callers tell them apart before.
bool is_lost(const RpcFailure& failure) {
  if (!failure.reason.empty()) {
    return false;
  }
  const bool cut = failure.message.find("RST_STREAM") != std::string::npos;
  return (failure.code == grpc::StatusCode::INTERNAL && cut) ||
         (failure.code == grpc::StatusCode::CANCELLED && (cut || failure.message == "CANCELLED"));
}

std::string request_id(const grpc::ClientContext& context) {
  for (const auto* metadata : {&context.GetServerTrailingMetadata(), &context.GetServerInitialMetadata()}) {
    if (const auto found = metadata->find(kRequestIdKey); found != metadata->end()) {
      return {found->second.data(), found->second.size()};
    }
  }
  return {};
}

}  // namespace

RpcError error_of(const grpc::Status& status, const grpc::ClientContext& context) {
  RpcFailure failure;
  failure.code = status.error_code();
  failure.message = status.error_message().empty() ? "no message" : status.error_message();
  read_details(status, failure);
  if (std::string id = request_id(context); !id.empty()) {
    failure.request_id = std::move(id);
  }
  if (is_lost(failure)) {
    failure.code = grpc::StatusCode::UNAVAILABLE;
  }
  if (failure.code == grpc::StatusCode::UNAVAILABLE && failure.reason.empty()) {
    if (const auto explanation = explain_tls_failure(failure.message)) {
      failure.is_tls_failure = true;
      failure.message = *explanation + " (" + failure.message + ")";
    }
  }
  return RpcError(std::move(failure));
}

RpcError cancelled_error() {
  RpcFailure failure;
  failure.code = grpc::StatusCode::CANCELLED;
  failure.message = "the call was cancelled";
  return RpcError(std::move(failure));
}

}  // namespace kandinsky
