package io.github.kandinskygrpc;

import com.google.protobuf.Message;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.RequestOptions;
import io.grpc.CallOptions;
import java.time.Duration;
import java.util.Optional;

/**
 * One streaming call over all its tries: what is sent, which events its messages make, and whether
 * to try again.
 */
final class Exchange<ReqT extends Message> {
  private final Connection connection;
  private final Retry retry;
  private final Resumption resumption;
  private ReqT request;
  private Assembly assembly = new Assembly();

  /** Starts the clock. */
  Exchange(Connection connection, ReqT request) {
    this.connection = connection;
    this.retry = connection.retry();
    this.resumption = new Resumption(RequestDefaults.options(request));
    this.request = request;
  }

  /** Returns what the next try sends. */
  ReqT request() {
    return request;
  }

  CallOptions callOptions() {
    return Connection.callOptions(retry);
  }

  /** Returns the event that a message completes, if any, but for a result that came before. */
  Optional<Event> receive(Event message) {
    Optional<Event> event = assembly.receive(message);
    if (message.hasCheckpoint()) {
      resumption.checkpoint(message.getCheckpoint());
    }
    return event.filter(resumption::deliver);
  }

  /** Returns the end of a stream that ended with status OK, its counts over all tries. */
  Event finish() {
    Event last = assembly.finish();
    return last.toBuilder().setCompleted(resumption.total(last.getCompleted())).build();
  }

  /**
   * Returns how long to wait before the next try; throws the error when another cannot help.
   *
   * <p>What was delivered is left out of the next try.
   */
  Duration delayAfter(RpcException error) {
    Duration delay = Duration.ZERO;
    if (!resumption.forget(error)) {
      if (resumption.progressed()) {
        retry.beginAnew();
      }
      delay = connection.delayAfter(error, retry);
    }
    assembly = new Assembly();
    RequestOptions options = RequestDefaults.options(request);
    RequestOptions next = resumption.next(options);
    if (!next.equals(options)) {
      request = RequestDefaults.withOptions(request, next);
    }
    return delay;
  }
}
