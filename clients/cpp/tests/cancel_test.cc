#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "fake_server.h"

using kandinsky::Client;

namespace {

// Sends one event, then works until the client is gone, and tells whether it went.
class Endless {
 public:
  Script script() {
    return [this](ServerCall& call) {
      call.write(queued());
      gone_.set_value(wait_for_cancel(call));
      return grpc::Status::CANCELLED;
    };
  }
  bool client_went() { return gone_.get_future().get(); }

 private:
  std::promise<bool> gone_;
};

grpc::StatusCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const kandinsky::RpcError& error) {
    return error.code();
  }
  return grpc::StatusCode::OK;
}

}  // namespace

TEST(Cancel, LeavingTheLoopCancels) {
  Endless endless;
  const FakeServer server(endless.script());
  Client client(server.target());
  for ([[maybe_unused]] const auto& event : client.stream(decode_request())) {
    break;
  }
  EXPECT_TRUE(endless.client_went());
}

TEST(Cancel, DestroyingAStreamThatNobodyReadCancels) {
  Endless endless;
  const FakeServer server(endless.script());
  Client client(server.target());
  {
    const auto stream = client.stream(decode_request());
    while (server.arrived().empty()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  EXPECT_TRUE(endless.client_went());
}

TEST(Cancel, AnotherThreadCancels) {
  Endless endless;
  const FakeServer server(endless.script());
  Client client(server.target());
  auto stream = client.stream(decode_request());
  stream.next();
  std::thread other([&] { stream.cancel(); });
  EXPECT_EQ(code_of([&] { stream.next(); }), grpc::StatusCode::CANCELLED);
  other.join();
  EXPECT_FALSE(stream.next());
  EXPECT_TRUE(endless.client_went());
}

TEST(Cancel, ClosingTheClientCancelsWhatRunsAndWhatComes) {
  Endless endless;
  const FakeServer server(endless.script());
  Client client(server.target());
  auto stream = client.stream(decode_request());
  stream.next();
  client.close();
  client.close();
  EXPECT_EQ(code_of([&] { stream.next(); }), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(endless.client_went());
  EXPECT_EQ(code_of([&] { client.info(); }), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(code_of([&] { client.decode(decode_request()); }), grpc::StatusCode::CANCELLED);
}

TEST(Cancel, DestroyingTheClientEndsItsStreams) {
  Endless endless;
  const FakeServer server(endless.script());
  auto client = std::make_unique<Client>(server.target());
  auto stream = client->stream(decode_request());
  stream.next();
  client.reset();
  EXPECT_EQ(code_of([&] { stream.next(); }), grpc::StatusCode::CANCELLED);
}

TEST(Cancel, EndsTheWaitForTheNextTry) {
  kandinsky::ClientOptions options;
  options.retries = 1000000;
  Client client("localhost:1", options);
  auto stream = client.stream(decode_request());
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    stream.cancel();
  });
  EXPECT_EQ(code_of([&] { stream.next(); }), grpc::StatusCode::CANCELLED);
  other.join();
}

TEST(Cancel, StreamsMoveWithTheirCall) {
  Endless endless;
  const FakeServer server(endless.script());
  Client client(server.target());
  auto first = client.stream(decode_request());
  auto second = std::move(first);
  EXPECT_TRUE(second.next());
  { const auto last = std::move(second); }
  EXPECT_TRUE(endless.client_went());
}
