// When to try a call again.
#pragma once

#include <kandinsky/error.h>
#include <kandinsky/options.h>

#include <chrono>
#include <optional>

namespace kandinsky {

// Returns the time, or nothing for no limit: infinity, and anything beyond three years, is none.
// Throws std::invalid_argument for a time that is 0, negative or NaN.
std::optional<Seconds> check_timeout(std::optional<Seconds> timeout);

// The patience of one call: how much of its timeout is left, and how many retries.
//
// Trying again is safe: a request carries all it needs, and its results depend on nothing but that.
class Retry {
 public:
  // `timeout` is for the whole call, retries and waits included; `retries` the most retries in a row that bring nothing
  // new. Throws as `check_timeout` does.
  Retry(std::optional<Seconds> timeout, int retries);

  // The time left, never below 0; nothing is no limit.
  [[nodiscard]] std::optional<Seconds> left() const;

  // Counts retries from here: the last try brought something.
  void begin_anew() { tried_ = 0; }

  // Returns how long to wait before the next try, or throws the error when that cannot help.
  Seconds delay_after(const RpcError& error);

 private:
  using Clock = std::chrono::steady_clock;

  std::optional<Clock::time_point> deadline_;
  int retries_;
  int tried_ = 0;
};

}  // namespace kandinsky
