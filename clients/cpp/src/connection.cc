#include "connection.h"

#include <chrono>
#include <stdexcept>
#include <utility>

#include "call_metadata.h"
#include "channel.h"

namespace kandinsky {
namespace {

ClientOptions checked(ClientOptions options) {
  if (options.retries < 0) {
    throw std::invalid_argument("retries must be 0 or more, not " + std::to_string(options.retries));
  }
  check_timeout(options.timeout);
  check_metadata(options.metadata);
  bearer(options.token);
  return options;
}

void add_all(const Metadata& metadata, grpc::ClientContext& context) {
  for (const auto& [key, value] : metadata) {
    context.AddMetadata(key, value);
  }
}

}  // namespace

Connection::Connection(const std::string& target, ClientOptions options)
    : options_(checked(std::move(options))),
      channel_(make_channel(target, options_.tls)),
      prior_(v1::PriorService::NewStub(channel_)),
      image_(v1::ImageService::NewStub(channel_)),
      server_(v1::ServerService::NewStub(channel_)) {}

Retry Connection::retry(const CallOptions& options) const {
  check_metadata(options.metadata);
  return {options.timeout ? options.timeout : options_.timeout, options_.retries};
}

std::unique_ptr<grpc::ClientContext> Connection::context(const CallOptions& options, const Retry& retry) const {
  auto context = std::make_unique<grpc::ClientContext>();
  add_all(bearer(options_.token), *context);
  add_all(options_.metadata, *context);
  add_all(options.metadata, *context);
  if (const auto left = retry.left()) {
    using Clock = std::chrono::system_clock;
    context->set_deadline(Clock::now() + std::chrono::duration_cast<Clock::duration>(*left));
  }
  return context;
}

void Connection::close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (Cancellation* call : running_) {
    call->cancel();
  }
}

void Connection::add(Cancellation& call) {
  const std::lock_guard lock(mutex_);
  running_.insert(&call);
  if (closed_) {
    call.cancel();
  }
}

void Connection::remove(Cancellation& call) noexcept {
  const std::lock_guard lock(mutex_);
  running_.erase(&call);
}

}  // namespace kandinsky
