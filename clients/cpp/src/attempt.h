// One try of a streaming call.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>
#include <kandinsky/api.h>

#include <functional>
#include <memory>
#include <utility>

namespace kandinsky {

// One try, of any RPC: they differ in the response message, and every response carries one `Event`.
class Attempt {
 public:
  Attempt() = default;
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;
  virtual ~Attempt() = default;

  // Waits for the next message; returns false when there is none, and `finish` tells why.
  virtual bool read(v1::Event& event) = 0;

  // Waits for the status. Called once, when `read` has returned false.
  virtual grpc::Status finish() = 0;
};

// Starts a try with this context.
using StartAttempt = std::function<std::unique_ptr<Attempt>(grpc::ClientContext&)>;

// Has a queue of its own, and so no thread: whoever reads waits there. The asynchronous reader is used since the
// synchronous one keeps its caller until a connection is there, where nobody holds the call yet to cancel it.
template <class Response>
class ReaderAttempt final : public Attempt {
 public:
  using Reader = grpc::ClientAsyncReader<Response>;

  // `queue` is the one that `reader` was prepared for.
  ReaderAttempt(grpc::ClientContext& context, std::unique_ptr<grpc::CompletionQueue> queue,
                std::unique_ptr<Reader> reader)
      : context_(context), queue_(std::move(queue)), reader_(std::move(reader)) {
    reader_->StartCall(this);
  }

  ReaderAttempt(const ReaderAttempt&) = delete;
  ReaderAttempt& operator=(const ReaderAttempt&) = delete;

  // TryCancel, then Finish: a call that is not finished would be leaked.
  ~ReaderAttempt() override {
    if (!finished_) {
      context_.TryCancel();
      started();
      finish();
    }
    queue_->Shutdown();
    wait();
  }

  bool read(v1::Event& event) override {
    if (!started()) {
      return false;
    }
    Response response;
    reader_->Read(&response, this);
    if (!wait()) {
      return false;
    }
    event = std::move(*response.mutable_event());
    return true;
  }

  grpc::Status finish() override {
    grpc::Status status;
    reader_->Finish(&status, this);
    wait();
    finished_ = true;
    return status;
  }

 private:
  bool started() {
    if (!start_waited_) {
      start_waited_ = true;
      start_ok_ = wait();
    }
    return start_ok_;
  }

  // Waits for the one operation that is under way; returns whether it did what it should.
  bool wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_->Next(&tag, &ok) && ok;
  }

  grpc::ClientContext& context_;
  std::unique_ptr<grpc::CompletionQueue> queue_;
  std::unique_ptr<Reader> reader_;
  bool start_waited_ = false;
  bool start_ok_ = false;
  bool finished_ = false;
};

// Starts a try with a reader of any response.
template <class Response>
std::unique_ptr<Attempt> start_attempt(grpc::ClientContext& context, std::unique_ptr<grpc::CompletionQueue> queue,
                                       std::unique_ptr<grpc::ClientAsyncReader<Response>> reader) {
  return std::make_unique<ReaderAttempt<Response>>(context, std::move(queue), std::move(reader));
}

}  // namespace kandinsky
