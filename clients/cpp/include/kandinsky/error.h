/// @file
/// What this library throws.
///
///     std::invalid_argument      an option or argument that cannot be; nothing was sent
///     kandinsky::Error           the root of everything else
///     ├── RpcError               the server, or the way to it, answered with a status other than OK
///     ├── IncompleteStreamError  the answer ended early, or an image or embedding does not add up
///     └── EmbeddingFileError     a file that holds no embeddings
#pragma once

#include <grpcpp/support/status_code_enum.h>
#include <kandinsky/api.h>
#include <kandinsky/options.h>

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace kandinsky {

/// The root of what this library throws when a call or a file fails.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The stream ended without `completed`, or what it carried does not add up.
class IncompleteStreamError : public Error {
 public:
  using Error::Error;
};

/// A file that is no `.safetensors` file of embeddings, or cannot be read.
class EmbeddingFileError : public Error {
 public:
  using Error::Error;
};

/// One field of the request that broke its range.
struct FieldViolation {
  /// Its path, such as "sampling.step_count".
  std::string field;
  /// What to change.
  std::string description;
};

/// What is known of a call that failed.
struct RpcFailure {
  /// The canonical code.
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  /// The server's sentence.
  std::string message;
  /// The machine-readable reason, such as "QUEUE_FULL": a name of the contract's ErrorReason without its prefix. Empty
  /// when gRPC itself, or a proxy, made the status. `RpcError::is` compares it.
  std::string reason;
  /// The limits and values that the message speaks of, by the names that errors.proto gives at each reason.
  std::map<std::string, std::string> metadata;
  /// The fields to change, for INVALID_ARGUMENT.
  std::vector<FieldViolation> field_violations;
  /// How long to wait before another try, as the server advises; unset when it does not.
  std::optional<Seconds> retry_delay;
  /// What the server's log knows the request by; empty when the request never got there.
  std::string request_id;
  /// Whether both ends do not agree on encryption, or on whom to trust: trying again cannot help.
  bool is_tls_failure = false;
};

/// A status other than OK. `what()` is one line with the code, the reason, the message and the request id.
class RpcError : public Error {
 public:
  explicit RpcError(RpcFailure failure);

  /// The canonical code.
  [[nodiscard]] grpc::StatusCode code() const noexcept { return failure_->code; }
  /// The canonical code's name, such as "RESOURCE_EXHAUSTED".
  [[nodiscard]] std::string code_name() const;
  /// The server's sentence.
  [[nodiscard]] const std::string& message() const noexcept { return failure_->message; }
  /// See `RpcFailure::reason`.
  [[nodiscard]] const std::string& reason() const noexcept { return failure_->reason; }
  /// Whether the reason is this one, such as `v1::ERROR_REASON_QUEUE_FULL`.
  [[nodiscard]] bool is(v1::ErrorReason reason) const;
  /// See `RpcFailure::metadata`.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept { return failure_->metadata; }
  /// See `RpcFailure::field_violations`.
  [[nodiscard]] const std::vector<FieldViolation>& field_violations() const noexcept {
    return failure_->field_violations;
  }
  /// See `RpcFailure::retry_delay`.
  [[nodiscard]] std::optional<Seconds> retry_delay() const noexcept { return failure_->retry_delay; }
  /// See `RpcFailure::request_id`.
  [[nodiscard]] const std::string& request_id() const noexcept { return failure_->request_id; }
  /// See `RpcFailure::is_tls_failure`.
  [[nodiscard]] bool is_tls_failure() const noexcept { return failure_->is_tls_failure; }

 private:
  // Shared, since an exception is copied while it is thrown and a copy must not throw.
  std::shared_ptr<const RpcFailure> failure_;
};

}  // namespace kandinsky
