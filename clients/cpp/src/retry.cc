#include "retry.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

namespace kandinsky {
namespace {

constexpr Seconds kFirstDelay{0.1};
constexpr Seconds kLongestDelay{10.0};
// Three years. Clocks count in nanoseconds, and what they cannot count has passed at once.
constexpr Seconds kLongestTimeout{1e8};

bool is_transient(const RpcError& error) {
  if (error.code() == grpc::StatusCode::UNAVAILABLE) {
    return !error.is_tls_failure();
  }
  // Without RetryInfo it is no queue that is exhausted: gRPC says the same of a message over the size limit. And
  // waiting only brings a deadline closer that cannot be met.
  return error.code() == grpc::StatusCode::RESOURCE_EXHAUSTED && error.retry_delay().has_value() &&
         !error.is(v1::ERROR_REASON_DEADLINE_UNREACHABLE);
}

double uniform(double least, double most) {
  std::random_device device;
  return std::uniform_real_distribution<double>(least, most)(device);
}

// Never earlier than advised; spread, so that clients turned away together do not come back together.
Seconds jittered(std::optional<Seconds> advised, int tried) {
  if (advised) {
    return *advised * uniform(1.0, 1.25) + Seconds(uniform(0.0, 0.05));
  }
  return std::min(kLongestDelay, kFirstDelay * std::pow(2.0, tried)) * uniform(0.5, 1.0);
}

}  // namespace

std::optional<Seconds> check_timeout(std::optional<Seconds> timeout) {
  if (!timeout) {
    return std::nullopt;
  }
  if (!(*timeout > Seconds::zero())) {  // NaN is not either
    throw std::invalid_argument("timeout must be above 0 seconds, or unset for no limit; not " +
                                std::to_string(timeout->count()));
  }
  return *timeout > kLongestTimeout ? std::nullopt : timeout;
}

Retry::Retry(std::optional<Seconds> timeout, int retries) : retries_(retries) {
  if (const auto limit = check_timeout(timeout)) {
    deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(*limit);
  }
}

std::optional<Seconds> Retry::left() const {
  if (!deadline_) {
    return std::nullopt;
  }
  return std::max(Seconds::zero(), Seconds(*deadline_ - Clock::now()));
}

Seconds Retry::delay_after(const RpcError& error) {
  if (tried_ >= retries_ || !is_transient(error)) {
    throw error;
  }
  const Seconds delay = jittered(error.retry_delay(), tried_);
  if (const auto time = left(); time && delay >= *time) {
    throw error;
  }
  ++tried_;
  return delay;
}

}  // namespace kandinsky
