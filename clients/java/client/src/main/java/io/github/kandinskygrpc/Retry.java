package io.github.kandinskygrpc;

import io.grpc.Deadline;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * The patience of one call: how much of its timeout is left, and how many retries.
 *
 * <p>Trying again is safe: a request carries all it needs, and its results depend on nothing but
 * that.
 */
final class Retry {
  private static final Duration FIRST_DELAY = Duration.ofMillis(100);
  private static final Duration LONGEST_DELAY = Duration.ofSeconds(10);

  private final Optional<Deadline> deadline;
  private final int retries;
  private int tried;

  /**
   * Starts the clock.
   *
   * @param timeout for the whole call, retries and waits included; empty is no limit
   * @param retries the most retries after the first try
   */
  Retry(Optional<Duration> timeout, int retries) {
    this.deadline = timeout.map(limit -> Deadline.after(limit.toNanos(), TimeUnit.NANOSECONDS));
    this.retries = retries;
  }

  Optional<Deadline> deadline() {
    return deadline;
  }

  /** Returns how long to wait before the next try; empty when another cannot help. */
  Optional<Duration> delayAfter(RpcException error) {
    if (tried >= retries || !isTransient(error)) {
      return Optional.empty();
    }
    Duration delay = jittered(error.retryDelay());
    if (deadline.isPresent()
        && deadline.get().timeRemaining(TimeUnit.NANOSECONDS) <= delay.toNanos()) {
      return Optional.empty();
    }
    tried++;
    return Optional.of(delay);
  }

  /** Counts the retries anew, after a try that brought the call further. */
  void beginAnew() {
    tried = 0;
  }

  private static boolean isTransient(RpcException error) {
    if (error instanceof UnavailableException) {
      return !(error instanceof TlsException);
    }
    // Waiting only brings the same deadline closer. Without RetryInfo it is no queue that is
    // exhausted: gRPC says the
    // same of a message over the size limit.
    return error instanceof OverloadedException
        && !(error instanceof DeadlineUnreachableException)
        && error.retryDelay().isPresent();
  }

  /**
   * Never earlier than advised; spread, so that clients turned away together do not come back
   * together.
   */
  private Duration jittered(Optional<Duration> advised) {
    ThreadLocalRandom random = ThreadLocalRandom.current();
    double seconds =
        advised
            .map(
                delay ->
                    seconds(delay) * random.nextDouble(1.0, 1.25) + random.nextDouble(0.0, 0.05))
            .orElseGet(
                () ->
                    Math.min(seconds(LONGEST_DELAY), seconds(FIRST_DELAY) * Math.pow(2, tried))
                        * random.nextDouble(0.5, 1.0));
    return Duration.ofNanos((long) (seconds * 1e9)); // which stops at three centuries
  }

  private static double seconds(Duration duration) {
    return duration.getSeconds() + duration.getNano() / 1e9;
  }
}
