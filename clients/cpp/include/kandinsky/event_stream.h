/// @file
/// The events of one call.
#pragma once

#include <kandinsky/event.h>

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>

namespace kandinsky {

/// The events of one call, which is on its way from the start. Move-only.
///
///     for (const kandinsky::Event& event : client.stream(request)) { ... }
///
/// Destroying the stream, as by leaving the loop above, cancels the call; the server then frees its place within one
/// step. One thread reads; `cancel` may be called by any.
class EventStream {
 public:
  class iterator;

  EventStream(EventStream&& other) noexcept;
  EventStream& operator=(EventStream&& other) noexcept;
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  ~EventStream();

  /// Waits for the next event. Returns nothing after `Completed`, and after it has thrown.
  /// @throws RpcError The call failed; code CANCELLED after `cancel` or `Client::close`.
  /// @throws IncompleteStreamError The stream ended without `completed`, or what it carried does not add up.
  std::optional<Event> next();

  /// Cancels the call if it still runs, without waiting for its end; `next` throws an RpcError of code CANCELLED. May
  /// be called from any thread, and again; not while the stream is moved.
  void cancel() noexcept;

  /// Waits for the first event. Throws as `next` does, and so does stepping the iterator. The events pass once.
  iterator begin();
  /// The end that `begin` runs to.
  iterator end() noexcept;

  /// @cond internal
  class Impl;
  explicit EventStream(std::unique_ptr<Impl> impl) noexcept;
  /// @endcond

 private:
  std::unique_ptr<Impl> impl_;
};

/// An input iterator over the events of a stream.
class EventStream::iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = Event;
  using difference_type = std::ptrdiff_t;
  using pointer = Event*;
  using reference = Event&;

  /// The end of every stream.
  iterator() = default;
  /// Waits for the first event of a stream.
  explicit iterator(EventStream& stream) : stream_(&stream), event_(stream.next()) {}

  reference operator*() { return *event_; }
  pointer operator->() { return &*event_; }
  /// Waits for the next event.
  iterator& operator++() {
    event_ = stream_->next();
    return *this;
  }
  void operator++(int) { ++*this; }

  /// Iterators differ only in whether an event is there.
  friend bool operator==(const iterator& a, const iterator& b) { return a.event_.has_value() == b.event_.has_value(); }
  friend bool operator!=(const iterator& a, const iterator& b) { return !(a == b); }

 private:
  EventStream* stream_ = nullptr;
  std::optional<Event> event_;
};

inline EventStream::iterator EventStream::begin() { return iterator(*this); }
inline EventStream::iterator EventStream::end() noexcept { return {}; }

}  // namespace kandinsky
