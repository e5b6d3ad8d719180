// What the calls of one client share.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <kandinsky/options.h>
#include <kandinsky_api/v1/image.grpc.pb.h>
#include <kandinsky_api/v1/prior.grpc.pb.h>
#include <kandinsky_api/v1/server.grpc.pb.h>

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "cancellation.h"
#include "retry.h"

namespace kandinsky {

class Connection {
 public:
  // Throws std::invalid_argument for a target or an option that cannot be.
  Connection(const std::string& target, ClientOptions options);

  // Starts the clock of one call. Throws std::invalid_argument for a timeout that cannot be.
  [[nodiscard]] Retry retry(const CallOptions& options) const;

  // Makes the context of one try: the metadata, the deadline. The call's metadata was checked before.
  [[nodiscard]] std::unique_ptr<grpc::ClientContext> context(const CallOptions& options, const Retry& retry) const;

  [[nodiscard]] v1::Priority priority() const { return options_.priority; }
  [[nodiscard]] const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  [[nodiscard]] v1::PriorService::Stub& prior() const { return *prior_; }
  [[nodiscard]] v1::ImageService::Stub& image() const { return *image_; }
  [[nodiscard]] v1::ServerService::Stub& server() const { return *server_; }

  // Cancels the calls that run, and those to come.
  void close() noexcept;
  // Lists a call that `close` is to cancel, until it is removed.
  void add(Cancellation& call);
  void remove(Cancellation& call) noexcept;

 private:
  ClientOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::PriorService::Stub> prior_;
  std::unique_ptr<v1::ImageService::Stub> image_;
  std::unique_ptr<v1::ServerService::Stub> server_;

  std::mutex mutex_;
  bool closed_ = false;
  std::set<Cancellation*> running_;
};

// A call that is listed with its connection for as long as it lives.
class RunningCall {
 public:
  explicit RunningCall(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {
    connection_->add(cancellation_);
  }
  RunningCall(const RunningCall&) = delete;
  RunningCall& operator=(const RunningCall&) = delete;
  ~RunningCall() { connection_->remove(cancellation_); }

  Connection& connection() { return *connection_; }
  Cancellation& cancellation() { return cancellation_; }

 private:
  std::shared_ptr<Connection> connection_;
  Cancellation cancellation_;
};

}  // namespace kandinsky
