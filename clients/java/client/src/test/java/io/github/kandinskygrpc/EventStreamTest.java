package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.PriorRequest;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class EventStreamTest {
  private static final PriorRequest PRIOR = PriorRequest.newBuilder().addPrompts("a cube").build();

  @Test
  void givesEventsInTheirOrder() throws IOException {
    List<Event> sent =
        List.of(
            Events.QUEUED,
            Events.progress(1),
            Events.progress(2),
            Events.embedding(0, 1f),
            Events.completed(1, 0));
    try (FakeServer server = new FakeServer(Answer.of(sent.toArray(new Event[0])));
        KandinskyClient client = server.client().build();
        EventStream events = client.stream().prior(PRIOR)) {
      List<Event> came = new ArrayList<>();
      events.forEach(came::add);
      assertEquals(sent, came);
      assertFalse(events.iterator().hasNext());
      assertThrows(NoSuchElementException.class, events.iterator()::next);
    }
  }

  @Test
  void cancelsWhenTheBlockIsLeft() throws IOException, InterruptedException {
    try (FakeServer server = new FakeServer(Answer.endless(Events.QUEUED));
        KandinskyClient client = server.client().build()) {
      try (EventStream events = client.stream().prior(PRIOR)) {
        assertTrue(events.iterator().next().hasQueued());
      }
      assertTrue(server.sawCancel());
    }
  }

  @Test
  void anotherThreadMayCloseIt() throws IOException, InterruptedException {
    try (FakeServer server = new FakeServer(Answer.endless(Events.QUEUED));
        KandinskyClient client = server.client().build();
        EventStream events = client.stream().prior(PRIOR)) {
      Iterator<Event> iterator = events.iterator();
      iterator.next();
      CompletableFuture.delayedExecutor(100, TimeUnit.MILLISECONDS).execute(events::close);
      assertThrows(CallCancelledException.class, iterator::hasNext);
      assertTrue(server.sawCancel());
    }
  }

  @Test
  void aClosedClientEndsItsCalls() throws IOException {
    try (FakeServer server = new FakeServer(Answer.endless(Events.QUEUED))) {
      KandinskyClient client = server.client().build();
      try (EventStream events = client.stream().prior(PRIOR)) {
        Iterator<Event> iterator = events.iterator();
        iterator.next();
        client.close();
        CallCancelledException error =
            assertThrows(CallCancelledException.class, iterator::hasNext);
        assertEquals("the client is closed", error.description());
      }
      assertThrows(CallCancelledException.class, () -> client.prior(PRIOR));
      assertThrows(CallCancelledException.class, client::info);
    }
  }

  @Test
  void anInterruptCancels() throws IOException, InterruptedException {
    try (FakeServer server = new FakeServer(Answer.endless(Events.QUEUED));
        KandinskyClient client = server.client().build();
        EventStream events = client.stream().prior(PRIOR)) {
      Iterator<Event> iterator = events.iterator();
      iterator.next();
      Thread.currentThread().interrupt();
      assertThrows(CallCancelledException.class, iterator::hasNext);
      assertTrue(Thread.interrupted());
      assertTrue(server.sawCancel());
    }
  }

  @Test
  void cancelsACallThatDoesNotAddUp() throws IOException, InterruptedException {
    try (FakeServer server = new FakeServer(Answer.endless(Events.chunk(0, 0, "abc")));
        KandinskyClient client = server.client().build()) {
      assertThrows(IncompleteStreamException.class, () -> client.prior(PRIOR));
      assertTrue(server.sawCancel());
    }
  }
}
