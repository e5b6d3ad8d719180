package io.github.kandinskygrpc;

import com.google.protobuf.Message;
import com.google.protobuf.StringValue;
import io.github.kandinskygrpc.api.v1.EstimateRequest;
import io.github.kandinskygrpc.api.v1.EstimateResponse;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.GetServerInfoRequest;
import io.github.kandinskygrpc.api.v1.GetServerInfoResponse;
import io.github.kandinskygrpc.api.v1.ServerServiceGrpc;
import io.grpc.Metadata;
import java.time.Duration;
import java.util.concurrent.Flow;
import java.util.function.Function;

/**
 * Calls a Kandinsky 2.2 gRPC server. May be shared by threads; {@link #close} it.
 *
 * <p>A call throws a {@link RpcException} of its kind where the server, or the way to it, answers
 * with a status other than OK, and {@link IncompleteStreamException} where less comes than was
 * sent. One that the server turned away, or that did not reach it, is tried again within its
 * timeout, without the results that were delivered.
 */
public final class KandinskyClient extends Calls<EmbeddingSet, ImageSet> implements AutoCloseable {
  private static final Duration HEALTH_TIMEOUT = Duration.ofSeconds(5);

  private final Connection connection;
  private final EventCalls<EventStream> stream;
  private final EventCalls<Flow.Publisher<Event>> publisher;

  KandinskyClient(Connection connection) {
    this.connection = connection;
    this.stream = new EventCalls<>(connection, EventStream::new);
    this.publisher = new EventCalls<>(connection, Function.identity());
  }

  /**
   * Starts to describe a client.
   *
   * @param target the server's address, such as {@code localhost:50051} or {@code
   *     dns:///kandinsky.prod:443}
   */
  public static KandinskyClientBuilder builder(String target) {
    return new KandinskyClientBuilder(target);
  }

  /**
   * The same calls as their events happen: {@code try (var events =
   * client.stream().decode(request))}.
   */
  public EventCalls<EventStream> stream() {
    return stream;
  }

  /**
   * The same calls as their events happen, without a thread that waits for them. A call begins when
   * it is subscribed to, each time anew, and is cancelled with its subscription. The subscriber is
   * called by gRPC's threads.
   */
  public EventCalls<Flow.Publisher<Event>> publisher() {
    return publisher;
  }

  /** Returns what a request would cost if it came now. */
  public EstimateResponse estimate(EstimateRequest request) {
    return connection.ask(
        ServerServiceGrpc.getEstimateMethod(),
        RequestDefaults.filled(request, connection.priority()));
  }

  /** Returns the server's stages, limits, defaults and backends. */
  public GetServerInfoResponse info() {
    return connection.ask(
        ServerServiceGrpc.getGetServerInfoMethod(), GetServerInfoRequest.getDefaultInstance());
  }

  /**
   * Returns the health of a service, within 5 seconds and without another try.
   *
   * @param service its full name, such as {@code kandinsky_api.v1.ImageService}; empty is the whole
   *     server
   * @throws ServerException NOT_FOUND if there is no such service
   */
  public Health health(String service) {
    Connection once = connection.withTimeout(HEALTH_TIMEOUT).withoutRetries();
    return Health.of(once.ask(Health.CHECK, StringValue.of(service)).getValue());
  }

  /**
   * Returns a client of the same connection whose calls have another timeout. It need not be
   * closed.
   *
   * @param timeout for a whole call, retries and waits included, above 0; {@code
   *     ChronoUnit.FOREVER.getDuration()} is no limit
   */
  public KandinskyClient withTimeout(Duration timeout) {
    return new KandinskyClient(connection.withTimeout(timeout));
  }

  /**
   * Returns a client of the same connection whose calls send more metadata. It need not be closed.
   */
  public KandinskyClient withMetadata(Metadata metadata) {
    return new KandinskyClient(connection.withMetadata(metadata));
  }

  /** Cancels what still runs, and closes the connection. */
  @Override
  public void close() {
    connection.channel().shutdownNow();
  }

  @Override
  <ReqT extends Message> EmbeddingSet embeddings(Rpc<ReqT, ?> rpc, ReqT request) {
    return gathered(rpc, request).embeddingSet();
  }

  @Override
  <ReqT extends Message> ImageSet images(Rpc<ReqT, ?> rpc, ReqT request) {
    return gathered(rpc, request).imageSet();
  }

  private <ReqT extends Message> Gathering gathered(Rpc<ReqT, ?> rpc, ReqT request) {
    try (EventStream events = stream.images(rpc, RequestDefaults.withoutProgress(request))) {
      return new Gathering(events);
    }
  }
}
