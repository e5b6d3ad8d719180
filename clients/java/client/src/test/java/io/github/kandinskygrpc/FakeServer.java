package io.github.kandinskygrpc;

import com.google.protobuf.Int32Value;
import com.google.protobuf.Message;
import io.github.kandinskygrpc.api.v1.DecodeResponse;
import io.github.kandinskygrpc.api.v1.EstimateResponse;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.GenerateResponse;
import io.github.kandinskygrpc.api.v1.GetServerInfoResponse;
import io.github.kandinskygrpc.api.v1.ImageServiceGrpc;
import io.github.kandinskygrpc.api.v1.InterpolateResponse;
import io.github.kandinskygrpc.api.v1.PriorResponse;
import io.github.kandinskygrpc.api.v1.PriorServiceGrpc;
import io.github.kandinskygrpc.api.v1.ServerServiceGrpc;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerServiceDefinition;
import java.io.IOException;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** A server on loopback that gives its answers in turn, and remembers what it was asked. */
final class FakeServer implements AutoCloseable {
  private final Queue<Answer> answers;
  private final List<Message> requests = new CopyOnWriteArrayList<>();
  private final List<Metadata> headers = new CopyOnWriteArrayList<>();
  private final CountDownLatch cancelled = new CountDownLatch(1);
  private final Server server;

  FakeServer(Answer... inTurn) throws IOException {
    answers = new ConcurrentLinkedQueue<>(List.of(inTurn));
    server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(
                ServerServiceDefinition.builder(PriorServiceGrpc.SERVICE_NAME)
                    .addMethod(Rpc.PRIOR.method(), handler(FakeServer::prior))
                    .addMethod(Rpc.INTERPOLATE.method(), handler(FakeServer::interpolate))
                    .build())
            .addService(
                ServerServiceDefinition.builder(ImageServiceGrpc.SERVICE_NAME)
                    .addMethod(Rpc.DECODE.method(), handler(FakeServer::decode))
                    .addMethod(Rpc.GENERATE.method(), handler(FakeServer::generate))
                    .build())
            .addService(
                ServerServiceDefinition.builder(ServerServiceGrpc.SERVICE_NAME)
                    .addMethod(
                        ServerServiceGrpc.getEstimateMethod(),
                        handler(event -> EstimateResponse.newBuilder().setStepCount(25).build()))
                    .addMethod(
                        ServerServiceGrpc.getGetServerInfoMethod(),
                        handler(
                            event -> GetServerInfoResponse.newBuilder().setModel("toy").build()))
                    .build())
            .addService(
                ServerServiceDefinition.builder("grpc.health.v1.Health")
                    .addMethod(Health.CHECK, handler(event -> Int32Value.of(1)))
                    .build())
            .build()
            .start();
  }

  KandinskyClientBuilder client() {
    return KandinskyClient.builder("localhost:" + server.getPort());
  }

  List<Message> requests() {
    return requests;
  }

  /** Returns a header of the last call. */
  String header(String name) {
    return headers
        .get(headers.size() - 1)
        .get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
  }

  /** Waits until a client has cancelled a call; returns whether it did within ten seconds. */
  boolean sawCancel() throws InterruptedException {
    return cancelled.await(10, TimeUnit.SECONDS);
  }

  @Override
  public void close() {
    server.shutdownNow();
  }

  private <ReqT extends Message, RespT> ServerCallHandler<ReqT, RespT> handler(
      Function<Event, RespT> response) {
    return (call, received) -> {
      headers.add(received);
      call.request(1);
      return new ServerCall.Listener<>() {
        @Override
        public void onMessage(ReqT request) {
          requests.add(request);
        }

        @Override
        public void onHalfClose() {
          give(answers.remove(), call, response);
        }

        @Override
        public void onCancel() {
          cancelled.countDown();
        }
      };
    };
  }

  private static <RespT> void give(
      Answer answer, ServerCall<?, RespT> call, Function<Event, RespT> response) {
    if (!answer.events().isEmpty()) {
      call.sendHeaders(new Metadata());
    }
    answer.events().forEach(event -> call.sendMessage(response.apply(event)));
    if (answer.status() != null) {
      call.close(answer.status(), answer.trailers());
    }
  }

  private static PriorResponse prior(Event event) {
    return PriorResponse.newBuilder().setEvent(event).build();
  }

  private static InterpolateResponse interpolate(Event event) {
    return InterpolateResponse.newBuilder().setEvent(event).build();
  }

  private static DecodeResponse decode(Event event) {
    return DecodeResponse.newBuilder().setEvent(event).build();
  }

  private static GenerateResponse generate(Event event) {
    return GenerateResponse.newBuilder().setEvent(event).build();
  }
}
