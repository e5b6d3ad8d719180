package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.PriorRequest;
import io.grpc.Status;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class PublisherTest {
  private static final PriorRequest PRIOR = PriorRequest.newBuilder().addPrompts("a cube").build();
  private static final String END = "end";

  @Test
  void givesAsManyEventsAsAreAskedFor() throws Exception {
    Answer answer =
        Answer.of(
            Events.QUEUED,
            Events.image(0, "", 2, 1),
            Events.chunk(0, 0, "ab"),
            Events.completed(0, 1));
    Collector collector = new Collector();
    try (FakeServer server = new FakeServer(answer);
        KandinskyClient client = server.client().build()) {
      client.publisher().prior(PRIOR).subscribe(collector);
      assertNull(collector.next(200));
      collector.subscription.request(1);
      assertEquals(Events.QUEUED, collector.next());
      assertNull(collector.next(200));
      collector.subscription.request(2);
      assertTrue(((Event) collector.next()).hasImage());
      assertEquals(Events.completed(0, 1), collector.next());
      assertEquals(END, collector.next());
    }
  }

  @Test
  void sendsTheSameRequestToEverySubscriber() throws Exception {
    Answer answer = Answer.of(Events.completed(0, 0));
    try (FakeServer server = new FakeServer(answer, answer);
        KandinskyClient client = server.client().build()) {
      Flow.Publisher<Event> publisher = client.publisher().prior(PRIOR);
      for (int time = 0; time < 2; time++) {
        Collector collector = new Collector();
        publisher.subscribe(collector);
        collector.subscription.request(Long.MAX_VALUE);
        assertEquals(Events.completed(0, 0), collector.next());
      }
      assertEquals(2, server.requests().size());
      assertEquals(server.requests().get(0), server.requests().get(1));
    }
  }

  @Test
  void triesAgainForTheEventsThatAreStillWanted() throws Exception {
    Answer busy = Answer.failing(Status.UNAVAILABLE, Events.QUEUED);
    Collector collector = new Collector();
    try (FakeServer server = new FakeServer(busy, Answer.of(Events.completed(0, 0)));
        KandinskyClient client = server.client().build()) {
      client.publisher().prior(PRIOR).subscribe(collector);
      collector.subscription.request(2);
      assertEquals(Events.QUEUED, collector.next());
      assertEquals(Events.completed(0, 0), collector.next());
    }
  }

  @Test
  void cancelsWithTheSubscription() throws Exception {
    Collector collector = new Collector();
    try (FakeServer server = new FakeServer(Answer.endless(Events.QUEUED));
        KandinskyClient client = server.client().build()) {
      client.publisher().prior(PRIOR).subscribe(collector);
      collector.subscription.request(5);
      collector.next();
      collector.subscription.cancel();
      assertTrue(server.sawCancel());
      assertNull(collector.next(200));
    }
  }

  @Test
  void tellsErrors() throws Exception {
    Collector collector = new Collector();
    try (FakeServer server = new FakeServer(Answer.failing(Status.INTERNAL));
        KandinskyClient client = server.client().build()) {
      client.publisher().prior(PRIOR).subscribe(collector);
      collector.subscription.request(1);
      assertInstanceOf(ServerException.class, collector.next());
    }
  }

  @Test
  void refusesToBeAskedForNothing() throws Exception {
    Collector collector = new Collector();
    try (FakeServer server = new FakeServer(Answer.endless(Events.QUEUED));
        KandinskyClient client = server.client().build()) {
      client.publisher().prior(PRIOR).subscribe(collector);
      collector.subscription.request(1);
      assertEquals(Events.QUEUED, collector.next());
      collector.subscription.request(0);
      assertInstanceOf(IllegalArgumentException.class, collector.next());
      assertTrue(server.sawCancel());
    }
  }

  /** Keeps what it is told. */
  private static final class Collector implements Flow.Subscriber<Event> {
    private final BlockingQueue<Object> told = new LinkedBlockingQueue<>();
    private Flow.Subscription subscription;

    Object next() throws InterruptedException {
      return next(10_000);
    }

    Object next(long millis) throws InterruptedException {
      return told.poll(millis, TimeUnit.MILLISECONDS);
    }

    @Override
    public void onSubscribe(Flow.Subscription started) {
      subscription = started;
    }

    @Override
    public void onNext(Event event) {
      told.add(event);
    }

    @Override
    public void onError(Throwable error) {
      told.add(error);
    }

    @Override
    public void onComplete() {
      told.add(END);
    }
  }
}
