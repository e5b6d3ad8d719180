package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import io.github.kandinskygrpc.api.v1.DecodeRequest;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.EstimateRequest;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.GenerateRequest;
import io.github.kandinskygrpc.api.v1.ImageResult;
import io.github.kandinskygrpc.api.v1.InterpolateRequest;
import io.github.kandinskygrpc.api.v1.PriorRequest;
import io.github.kandinskygrpc.api.v1.Priority;
import io.github.kandinskygrpc.api.v1.RequestOptions;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

class KandinskyClientTest {
  private static final PriorRequest PRIOR = PriorRequest.newBuilder().addPrompts("a cube").build();
  private static final Metadata.Key<String> TRACEPARENT =
      Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER);

  @Test
  void givesEmbeddingsInTheRequestsOrder() throws IOException {
    Answer answer =
        Answer.of(
            Events.QUEUED,
            Events.embedding(1, 2f),
            Events.embedding(0, 1f),
            Events.completed(2, 0));
    try (FakeServer server = new FakeServer(answer);
        KandinskyClient client = server.client().build()) {
      EmbeddingSet set = client.prior(PRIOR);
      assertEquals(List.of(0, 1), set.results().stream().map(EmbeddingResult::getIndex).toList());
      assertEquals(1f, Embeddings.floats(set.pairs().get(0).getPositive())[0]);
      assertEquals(7, set.completed().getSeed());
    }
  }

  @Test
  void givesImagesAndTheEmbeddingsOnTheWay() throws IOException {
    Answer answer =
        Answer.of(
            Events.QUEUED,
            Events.embedding(0, 1f),
            Events.image(0, "", 4, 2),
            Events.chunk(0, 0, "ab"),
            Events.chunk(0, 2, "cd"),
            Events.completed(1, 1));
    try (FakeServer server = new FakeServer(answer);
        KandinskyClient client = server.client().build()) {
      ImageSet set = client.generate(GenerateRequest.newBuilder().addPrompts("a cube").build());
      assertEquals(
          List.of(ByteString.copyFromUtf8("abcd")),
          set.results().stream().map(ImageResult::getData).toList());
      assertEquals(1, set.embeddings().size());
    }
  }

  @Test
  void drawsASeedAndAsksForNoProgressThatNobodySees() throws IOException {
    try (FakeServer server = new FakeServer(Answer.of(Events.completed(0, 0)));
        KandinskyClient client = server.client().priority(Priority.PRIORITY_LOW).build()) {
      client.prior(PRIOR);
      PriorRequest sent = (PriorRequest) server.requests().get(0);
      assertTrue(sent.getSampling().hasSeed());
      assertTrue(sent.getSampling().getSeed() >= 0 && sent.getSampling().getSeed() < 1L << 32);
      assertTrue(sent.getOptions().hasProgressIntervalSteps());
      assertEquals(0, sent.getOptions().getProgressIntervalSteps());
      assertEquals(Priority.PRIORITY_LOW, sent.getOptions().getPriority());
    }
  }

  @Test
  void keepsWhatTheRequestSays() throws IOException {
    RequestOptions options =
        RequestOptions.newBuilder()
            .setPriority(Priority.PRIORITY_HIGH)
            .setProgressIntervalSteps(5)
            .build();
    PriorRequest.Builder request = PRIOR.toBuilder().setOptions(options);
    request.getSamplingBuilder().setSeed(0);
    try (FakeServer server = new FakeServer(Answer.of(Events.completed(0, 0)));
        KandinskyClient client = server.client().priority(Priority.PRIORITY_LOW).build()) {
      client.prior(request.build());
      assertEquals(request.build(), server.requests().get(0));
    }
  }

  @Test
  void leavesProgressToTheServerWhereEventsAreSeen() throws IOException {
    try (FakeServer server = new FakeServer(Answer.of(Events.completed(0, 0)));
        KandinskyClient client = server.client().build();
        EventStream events = client.stream().prior(PRIOR)) {
      for (Event event : events) {
        assertTrue(event.hasCompleted());
      }
      assertFalse(((PriorRequest) server.requests().get(0)).hasOptions());
    }
  }

  @Test
  void embedsAnImageAsOneConditionOfWeightOne() throws IOException {
    Answer answer = Answer.of(Events.embedding(0, 1f), Events.completed(1, 0));
    try (FakeServer server = new FakeServer(answer);
        KandinskyClient client = server.client().build()) {
      assertEquals(1, client.embedImage(new byte[] {1, 2}).results().size());
      InterpolateRequest sent = (InterpolateRequest) server.requests().get(0);
      assertEquals(
          ByteString.copyFrom(new byte[] {1, 2}), sent.getConditions(0).getImage().getData());
      assertEquals(List.of(1.0), sent.getWeights(0).getValuesList());
    }
  }

  @Test
  void asksWhatARequestWouldCost() throws IOException {
    try (FakeServer server = new FakeServer(Answer.of(Events.QUEUED));
        KandinskyClient client = server.client().priority(Priority.PRIORITY_HIGH).build()) {
      EstimateRequest request =
          EstimateRequest.newBuilder().setDecode(DecodeRequest.getDefaultInstance()).build();
      assertEquals(25, client.estimate(request).getStepCount());
      DecodeRequest asked = ((EstimateRequest) server.requests().get(0)).getDecode();
      assertTrue(asked.getSampling().hasSeed());
      assertEquals(Priority.PRIORITY_HIGH, asked.getOptions().getPriority());
    }
  }

  @Test
  void asksForInfoAndHealth() throws IOException {
    Answer busy = Answer.failing(Status.UNAVAILABLE);
    Answer one = Answer.of(Events.QUEUED);
    try (FakeServer server = new FakeServer(busy, one, one, busy);
        KandinskyClient client = server.client().build()) {
      assertEquals("toy", client.info().getModel());
      assertEquals(Health.SERVING, client.health(""));
      assertThrows(UnavailableException.class, () -> client.health(""));
    }
  }

  @Test
  void saysWhoItIs() throws IOException {
    Metadata trace = new Metadata();
    trace.put(TRACEPARENT, "00-1-2-01");
    Answer end = Answer.of(Events.completed(0, 0));
    try (FakeServer server = new FakeServer(end, end);
        KandinskyClient client = server.client().token("secret").build()) {
      client.withMetadata(trace).prior(PRIOR);
      assertEquals("Bearer secret", server.header("authorization"));
      assertEquals("00-1-2-01", server.header("traceparent"));
      assertTrue(server.header("user-agent").startsWith("kandinsky-client-java/0.1.0"));
      client.prior(PRIOR);
      assertEquals(null, server.header("traceparent"));
    }
  }

  @Test
  void endsACallAtItsTimeout() throws IOException, InterruptedException {
    try (FakeServer server = new FakeServer(Answer.of(Events.QUEUED), Answer.endless());
        KandinskyClient client = server.client().build()) {
      client.info(); // connects
      assertThrows(
          DeadlineExceededException.class,
          () -> client.withTimeout(Duration.ofSeconds(2)).prior(PRIOR));
      assertTrue(server.sawCancel());
    }
  }

  @Test
  void hasTheVersionOfThePom() {
    assertEquals(System.getProperty("project.version"), KandinskyClientBuilder.VERSION);
  }
}
