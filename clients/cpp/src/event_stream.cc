#include <kandinsky/event_stream.h>

#include <utility>

#include "event_stream_impl.h"
#include "status.h"

namespace kandinsky {

EventStream::Impl::Impl(const std::shared_ptr<Connection>& connection, CallOptions options, v1::RequestOptions& sent,
                        StartAttempt start)
    : call_(connection),
      options_(std::move(options)),
      start_(std::move(start)),
      retry_(connection->retry(options_)),
      resumption_(sent) {
  this->start();
}

EventStream::Impl::~Impl() { end(); }

void EventStream::Impl::start() {
  context_ = call_.connection().context(options_, retry_);
  call_.cancellation().watch(context_.get());
  attempt_ = start_(*context_);
}

void EventStream::Impl::end() noexcept {
  attempt_.reset();
  call_.cancellation().watch(nullptr);
  context_.reset();
}

std::optional<Event> EventStream::Impl::next() {
  try {
    while (attempt_) {
      if (auto event = read()) {
        return event;
      }
    }
    return std::nullopt;
  } catch (...) {
    end();
    throw;
  }
}

// Takes one message, or the status: returns the event that it makes, if any.
std::optional<Event> EventStream::Impl::read() {
  v1::Event message;
  if (attempt_->read(message)) {
    if (message.has_checkpoint()) {
      resumption_.checkpoint(std::move(*message.mutable_checkpoint()));
      return std::nullopt;
    }
    auto event = assembly_.receive(std::move(message));
    return event && resumption_.deliver(*event) ? std::move(event) : std::nullopt;
  }
  const grpc::Status status = attempt_->finish();
  if (!status.ok()) {
    if (call_.cancellation().cancelled()) {
      throw cancelled_error();
    }
    try_again(error_of(status, *context_));
    return std::nullopt;
  }
  end();
  return resumption_.total(assembly_.finish());
}

// The next try leaves out what was delivered, and goes on from the last checkpoints.
void EventStream::Impl::try_again(const RpcError& error) {
  Seconds delay = Seconds::zero();
  if (!resumption_.forget(error)) {
    if (resumption_.write()) {
      retry_.begin_anew();
    }
    delay = retry_.delay_after(error);
  }
  end();
  assembly_ = Assembly();
  if (call_.cancellation().wait(delay)) {
    throw cancelled_error();
  }
  start();
}

EventStream::EventStream(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
EventStream::EventStream(EventStream&& other) noexcept = default;
EventStream& EventStream::operator=(EventStream&& other) noexcept = default;
EventStream::~EventStream() = default;

std::optional<Event> EventStream::next() { return impl_ ? impl_->next() : std::nullopt; }

void EventStream::cancel() noexcept {
  if (impl_) {
    impl_->cancel();
  }
}

}  // namespace kandinsky
