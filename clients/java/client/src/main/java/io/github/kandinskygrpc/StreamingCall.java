package io.github.kandinskygrpc;

import com.google.protobuf.Message;
import io.github.kandinskygrpc.api.v1.Event;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;

/**
 * One streaming call over all its tries, for one subscriber, who gets as many events as it asks
 * for.
 */
final class StreamingCall<ReqT extends Message, RespT> implements Flow.Subscription {
  private final Connection connection;
  private final Rpc<ReqT, RespT> rpc;
  private final Flow.Subscriber<? super Event> subscriber;
  private final Exchange<ReqT> exchange;
  private final Context context = Context.current();

  private final Object lock = new Object();
  private ClientCall<ReqT, RespT>
      call; // guarded by lock; null before the first try and between two
  private long wanted; // guarded by lock: events that were asked for and have not come
  private boolean ended; // guarded by lock

  StreamingCall(
      Connection connection,
      Rpc<ReqT, RespT> rpc,
      ReqT request,
      Flow.Subscriber<? super Event> subscriber) {
    this.connection = connection;
    this.rpc = rpc;
    this.subscriber = subscriber;
    this.exchange = new Exchange<>(connection, request);
  }

  void start() {
    subscriber.onSubscribe(this);
    tryOnce();
  }

  @Override
  public void request(long count) {
    if (count <= 0) {
      cancel();
      subscriber.onError(new IllegalArgumentException("request must be above 0, not " + count));
      return;
    }
    synchronized (lock) {
      wanted = wanted > Long.MAX_VALUE - count ? Long.MAX_VALUE : wanted + count;
      if (call != null) {
        call.request(messages(count));
      }
    }
  }

  @Override
  public void cancel() {
    synchronized (lock) {
      ended = true;
      if (call != null) {
        call.cancel("the call was closed", null);
      }
    }
  }

  private void tryOnce() {
    synchronized (lock) {
      if (ended) {
        return;
      }
      call = connection.channel().newCall(rpc.method(), exchange.callOptions());
      Metadata headers = new Metadata();
      headers.merge(connection.metadata());
      call.start(new Listener(), headers);
      if (wanted > 0) {
        call.request(messages(wanted));
      }
      call.sendMessage(exchange.request());
      call.halfClose();
    }
  }

  private static int messages(long count) {
    return (int) Math.min(count, Integer.MAX_VALUE);
  }

  /** Takes what one try brings; gRPC calls it from one thread at a time. */
  private final class Listener extends ClientCall.Listener<RespT> {
    private Metadata headers = new Metadata();

    @Override
    public void onHeaders(Metadata received) {
      headers = received;
    }

    @Override
    public void onMessage(RespT response) {
      if (hasEnded()) {
        return;
      }
      try {
        Optional<Event> event = exchange.receive(rpc.event().apply(response));
        if (event.isPresent()) {
          deliver(event.get());
        } else {
          requestAnother();
        }
      } catch (IncompleteStreamException e) {
        fail(e);
      }
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      if (hasEnded()) {
        return;
      }
      try {
        if (status.isOk()) {
          deliver(exchange.finish());
          end();
          subscriber.onComplete();
        } else {
          tryAgain(RpcExceptions.of(status, headers, trailers));
        }
      } catch (KandinskyException e) {
        fail(e);
      }
    }

    private void deliver(Event event) {
      synchronized (lock) {
        wanted--;
      }
      subscriber.onNext(event);
    }

    private void requestAnother() {
      synchronized (lock) {
        call.request(1);
      }
    }

    private void tryAgain(RpcException error) {
      long nanos = exchange.delayAfter(error).toNanos();
      synchronized (lock) {
        call = null;
      }
      CompletableFuture.delayedExecutor(nanos, TimeUnit.NANOSECONDS)
          .execute(context.wrap(StreamingCall.this::tryOnce));
    }
  }

  private boolean hasEnded() {
    synchronized (lock) {
      return ended;
    }
  }

  private void end() {
    synchronized (lock) {
      ended = true;
    }
  }

  private void fail(KandinskyException error) {
    cancel();
    subscriber.onError(error);
  }
}
