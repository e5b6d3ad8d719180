package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.kandinskygrpc.api.v1.PriorRequest;
import io.grpc.Status;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class RetryTest {
  private static final PriorRequest PRIOR = PriorRequest.newBuilder().addPrompts("a cube").build();
  private static final Duration ADVISED = Duration.ofMillis(200);

  @Test
  void sendsTheSameRequestAgain() throws IOException {
    Answer broken = Answer.failing(Status.UNAVAILABLE, Events.QUEUED, Events.progress(3));
    Answer whole = Answer.of(Events.embedding(0, 1f), Events.completed(1, 0));
    try (FakeServer server = new FakeServer(broken, whole);
        KandinskyClient client = server.client().build()) {
      assertEquals(1, client.prior(PRIOR).results().size());
      assertEquals(2, server.requests().size());
      assertEquals(server.requests().get(0), server.requests().get(1));
    }
  }

  @Test
  void doesNotTryAgainWhatFailedAfterAResult() throws IOException {
    Answer broken = Answer.failing(Status.INTERNAL, Events.embedding(0, 1f));
    try (FakeServer server = new FakeServer(broken, broken);
        KandinskyClient client = server.client().build()) {
      assertThrows(RpcException.class, () -> client.prior(PRIOR));
      assertEquals(1, server.requests().size());
    }
  }

  @Test
  void givesUpAfterSoManyRetries() throws IOException {
    Answer busy = Answer.failing(Status.UNAVAILABLE);
    try (FakeServer server = new FakeServer(busy, busy, busy, busy);
        KandinskyClient client = server.client().retries(2).build()) {
      assertThrows(UnavailableException.class, () -> client.prior(PRIOR));
      assertEquals(3, server.requests().size());
      Thread.currentThread().interrupt();
      assertThrows(CallCancelledException.class, client::info);
      assertTrue(Thread.interrupted());
    }
  }

  @Test
  void waitsLongerEachTimeAndNeverMoreThanTenSeconds() {
    Retry retry = new Retry(Optional.empty(), 20);
    for (int tried = 0; tried < 20; tried++) {
      double longest = Math.min(10, 0.1 * Math.pow(2, tried));
      double seconds = seconds(retry.delayAfter(unavailable(null)).orElseThrow());
      assertTrue(seconds >= longest / 2 && seconds <= longest, seconds + " of " + longest);
    }
  }

  @Test
  void waitsAsAdvisedAndALittleMore() {
    Retry retry = new Retry(Optional.empty(), 50);
    for (int tried = 0; tried < 50; tried++) {
      double seconds = seconds(retry.delayAfter(unavailable(ADVISED)).orElseThrow());
      assertTrue(seconds >= 0.2 && seconds <= 0.2 * 1.25 + 0.05, "" + seconds);
    }
  }

  @Test
  void triesAgainWhatMayFareBetter() {
    assertTrue(isRetried(unavailable(null)));
    assertTrue(isRetried(new OverloadedException(error("QUEUE_FULL", ADVISED), null)));
    assertEquals(false, isRetried(new OverloadedException(error("", null), null)));
    assertEquals(
        false,
        isRetried(new DeadlineUnreachableException(error("DEADLINE_UNREACHABLE", ADVISED), null)));
    assertEquals(false, isRetried(new TlsException(error("", null), null)));
    assertEquals(false, isRetried(new ServerException(error("", ADVISED), null)));
    assertEquals(false, isRetried(RpcExceptions.cancelled("closed", null)));
  }

  @Test
  void doesNotWaitPastTheDeadline() {
    Retry retry = new Retry(Optional.of(Duration.ofMillis(150)), 5);
    assertEquals(Optional.empty(), retry.delayAfter(unavailable(ADVISED)));
  }

  @Test
  void takesAnAdviceOfThousandsOfYears() {
    Retry retry = new Retry(Optional.of(Duration.ofSeconds(1)), 5);
    Duration advised = Duration.ofDays(3_652_500);
    assertEquals(Optional.empty(), retry.delayAfter(unavailable(advised)));
  }

  private static boolean isRetried(RpcException error) {
    return new Retry(Optional.empty(), 1).delayAfter(error).isPresent();
  }

  private static UnavailableException unavailable(Duration advised) {
    return new UnavailableException(error("", advised), null);
  }

  private static RpcError error(String reason, Duration advised) {
    return new RpcError(Status.Code.UNKNOWN, "no", reason, Map.of(), List.of(), advised, "");
  }

  private static double seconds(Duration duration) {
    return duration.toNanos() / 1e9;
  }
}
