// A server in this process that speaks the contract, and does what a test's script says.
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_context.h>
#include <kandinsky/client.h>
#include <kandinsky_api/v1/image.grpc.pb.h>
#include <kandinsky_api/v1/prior.grpc.pb.h>
#include <kandinsky_api/v1/server.grpc.pb.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "events.h"

// One call as the server sees it.
struct ServerCall {
  std::string rpc;
  std::string request;  // serialized
  int number;           // from 1: the how many-th call this is
  grpc::ServerContext& context;
  std::function<bool(const v1::Event&)> write;

  template <class Request>
  [[nodiscard]] Request parsed() const {
    Request message;
    message.ParseFromString(request);
    return message;
  }
};

// What came in.
struct Arrived {
  std::string rpc;
  std::string request;
  std::multimap<std::string, std::string> metadata;
};

using Script = std::function<grpc::Status(ServerCall&)>;

class FakeServer {
 public:
  // Answers every RPC as the script says; those of one answer have one of their own, should the script end well.
  explicit FakeServer(Script script, std::shared_ptr<grpc::ServerCredentials> credentials = nullptr);
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;
  ~FakeServer();

  [[nodiscard]] std::string target() const { return "localhost:" + std::to_string(port_); }
  [[nodiscard]] std::vector<Arrived> arrived() const;

  // Notes a call and runs the script.
  grpc::Status serve(const std::string& rpc, const google::protobuf::Message& request, grpc::ServerContext& context,
                     std::function<bool(const v1::Event&)> write);

 private:
  class PriorCalls;
  class ImageCalls;
  class ServerCalls;

  Script script_;
  mutable std::mutex mutex_;
  std::vector<Arrived> arrived_;
  std::unique_ptr<PriorCalls> prior_;
  std::unique_ptr<ImageCalls> image_;
  std::unique_ptr<ServerCalls> info_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// Writes all of them, and ends well.
grpc::Status send(ServerCall& call, const std::vector<v1::Event>& events);

// Waits until the client is gone; returns whether it went in time.
bool wait_for_cancel(const ServerCall& call);

// A request that the fake takes.
v1::DecodeRequest decode_request();
v1::PriorRequest prior_request();
