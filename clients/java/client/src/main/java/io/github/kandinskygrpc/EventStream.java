package io.github.kandinskygrpc;

import io.github.kandinskygrpc.api.v1.Event;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * The events of one call, which is already on its way: the contract's messages, each image whole in
 * its {@code data}, its chunks joined and checked. Checkpoints are left out: the client goes on
 * from them where it tries again. Ends after {@code completed}, or throws a {@link
 * KandinskyException}.
 *
 * <p>{@link #close} cancels what still runs; the server then stops within one step. It may be
 * called by any thread: the one that waits for an event gets {@link CallCancelledException}, as
 * does one that is interrupted.
 */
public final class EventStream implements Iterable<Event>, AutoCloseable {
  private final BlockingQueue<Signal> signals = new LinkedBlockingQueue<>();
  private final Receiver receiver = new Receiver();
  private final Events events = new Events();

  EventStream(Flow.Publisher<Event> publisher) {
    publisher.subscribe(receiver);
  }

  /** Returns the one iterator there is, for one thread: an event is to be had once. */
  @Override
  public Iterator<Event> iterator() {
    return events;
  }

  /** Cancels the call if it still runs. */
  @Override
  public void close() {
    receiver.subscription.cancel();
    signals.add(new Signal(null, RpcExceptions.cancelled("the call was closed", null)));
  }

  /** What came: an event, an error, or neither at the end. */
  private record Signal(Event event, KandinskyException error) {}

  private final class Events implements Iterator<Event> {
    private Signal next;

    @Override
    public boolean hasNext() {
      if (next == null) {
        receiver.subscription.request(1);
        next = taken();
      }
      if (next.error != null) {
        next.error.fillInStackTrace(); // it was made in a thread of gRPC's
        throw next.error;
      }
      return next.event != null;
    }

    @Override
    public Event next() {
      if (!hasNext()) {
        throw new NoSuchElementException("the stream has ended");
      }
      Event event = next.event;
      next = null;
      return event;
    }

    private Signal taken() {
      try {
        return signals.take();
      } catch (InterruptedException e) {
        receiver.subscription.cancel();
        Thread.currentThread().interrupt();
        return new Signal(null, RpcExceptions.cancelled("the thread was interrupted", e));
      }
    }
  }

  private final class Receiver implements Flow.Subscriber<Event> {
    private Flow.Subscription subscription;

    @Override
    public void onSubscribe(Flow.Subscription started) {
      subscription = started;
    }

    @Override
    public void onNext(Event event) {
      signals.add(new Signal(event, null));
    }

    @Override
    public void onError(Throwable error) {
      signals.add(new Signal(null, (KandinskyException) error));
    }

    @Override
    public void onComplete() {
      signals.add(new Signal(null, null));
    }
  }
}
