package io.github.kandinskygrpc;

import java.time.Duration;
import java.util.Optional;

/** What a timeout may be. */
final class Timeouts {
  /** gRPC counts in nanoseconds, and what it cannot count has passed at once. */
  private static final Duration LONGEST = Duration.ofDays(3 * 365);

  private Timeouts() {}

  /** Returns the limit; empty, which is none, for what is longer than three years. */
  static Optional<Duration> checked(Duration timeout) {
    if (timeout.isNegative() || timeout.isZero()) {
      throw new IllegalArgumentException(
          "timeout must be above 0, or ChronoUnit.FOREVER.getDuration() for no limit; not "
              + timeout);
    }
    return Optional.of(timeout).filter(limit -> limit.compareTo(LONGEST) <= 0);
  }
}
