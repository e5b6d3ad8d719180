// One streaming call over all its tries.
#pragma once

#include <kandinsky/event_stream.h>

#include <memory>
#include <optional>

#include "assembly.h"
#include "attempt.h"
#include "connection.h"
#include "resumption.h"
#include "retry.h"

namespace kandinsky {

class EventStream::Impl {
 public:
  // Starts the call. `sent` is part of the request that `start` holds and sends; a try after the first may find its
  // `resume` set. Throws std::invalid_argument for options that cannot be.
  Impl(const std::shared_ptr<Connection>& connection, CallOptions options, v1::RequestOptions& sent,
       StartAttempt start);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  std::optional<Event> next();
  void cancel() noexcept { call_.cancellation().cancel(); }

 private:
  void start();
  void end() noexcept;
  std::optional<Event> read();
  void try_again(const RpcError& error);

  RunningCall call_;
  CallOptions options_;
  StartAttempt start_;
  Retry retry_;
  Assembly assembly_;
  Resumption resumption_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Attempt> attempt_;  // null when the call is over; uses the context, so it goes first
};

}  // namespace kandinsky
