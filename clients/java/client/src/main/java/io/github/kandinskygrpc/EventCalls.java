package io.github.kandinskygrpc;

import com.google.protobuf.Message;
import io.github.kandinskygrpc.api.v1.Event;
import java.util.concurrent.Flow;
import java.util.function.Function;

/**
 * The seven streaming calls as events.
 *
 * @param <T> {@link EventStream}, or a {@link Flow.Publisher} of events
 */
public final class EventCalls<T> extends Calls<T, T> {
  private final Connection connection;
  private final Function<Flow.Publisher<Event>, T> form;

  EventCalls(Connection connection, Function<Flow.Publisher<Event>, T> form) {
    this.connection = connection;
    this.form = form;
  }

  @Override
  <ReqT extends Message> T embeddings(Rpc<ReqT, ?> rpc, ReqT request) {
    return events(rpc, request);
  }

  @Override
  <ReqT extends Message> T images(Rpc<ReqT, ?> rpc, ReqT request) {
    return events(rpc, request);
  }

  private <ReqT extends Message, RespT> T events(Rpc<ReqT, RespT> rpc, ReqT request) {
    ReqT whole = RequestDefaults.filled(request, connection.priority());
    return form.apply(
        subscriber -> new StreamingCall<>(connection, rpc, whole, subscriber).start());
  }
}
