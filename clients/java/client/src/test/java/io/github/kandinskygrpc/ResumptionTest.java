package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import io.github.kandinskygrpc.api.v1.DeliveredEmbedding;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.GenerateRequest;
import io.github.kandinskygrpc.api.v1.ImageResult;
import io.github.kandinskygrpc.api.v1.RequestOptions;
import io.github.kandinskygrpc.api.v1.Resume;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ResumptionTest {
  private static final GenerateRequest REQUEST =
      GenerateRequest.newBuilder()
          .addPrompts("a cube")
          .setOptions(RequestOptions.newBuilder().setCheckpointIntervalSteps(5))
          .build();
  private static final Event CHECKPOINT = Events.checkpoint("decoder", 0, 5);
  private static final Answer WHOLE = Answer.of(Events.image(0, "a"), Events.completed(0, 1));

  @Test
  void goesOnFromTheNewestCheckpoints() throws IOException {
    Event newer = Events.checkpoint("decoder", 0, 10);
    Event other = Events.checkpoint("decoder", 1, 5);
    Event newerOther = Events.checkpoint("decoder", 1, 10);
    Event prior = Events.checkpoint("prior", 0, 5);
    Answer first = broken(Events.QUEUED, CHECKPOINT, other, prior, newer);
    Answer second = broken(Events.QUEUED, newerOther);
    Event image = Events.image(0, "a");
    Answer third = Answer.of(image, Events.completed(0, 1));
    try (FakeServer server = new FakeServer(first, second, third);
        KandinskyClient client = server.client().build();
        EventStream events = client.stream().generate(REQUEST)) {
      List<Event> came = new ArrayList<>();
      events.forEach(came::add);
      assertEquals(List.of(Events.QUEUED, Events.QUEUED, image, Events.completed(0, 1)), came);
      assertEquals(
          List.of(
              Resume.getDefaultInstance(),
              from(newer, other, prior),
              from(newer, newerOther, prior)),
          resumes(server));
      GenerateRequest sent = (GenerateRequest) server.requests().get(0);
      assertFalse(sent.getOptions().hasResume());
      for (int again = 1; again < 3; again++) {
        GenerateRequest.Builder resumed =
            ((GenerateRequest) server.requests().get(again)).toBuilder();
        resumed.getOptionsBuilder().clearResume();
        assertEquals(sent, resumed.build());
      }
    }
  }

  @Test
  void leavesOutWhatWasDelivered() throws IOException {
    Event embedding = Events.embedding(0, 1f);
    Event other = Events.embedding(1, 2f);
    Answer first =
        broken(
            embedding,
            other,
            Events.image(1, "b"),
            Events.image(0, "", 4, 2),
            Events.chunk(0, 0, "ab"));
    Answer second = Answer.of(Events.image(0, "abcd"), Events.completed(0, 1));
    try (FakeServer server = new FakeServer(first, second);
        KandinskyClient client = server.client().build()) {
      ImageSet set = client.generate(REQUEST);
      assertEquals(
          List.of("abcd", "b"),
          set.results().stream()
              .map(ImageResult::getData)
              .map(data -> data.toStringUtf8())
              .toList());
      assertEquals(2, set.embeddings().size());
      assertEquals(Events.completed(2, 2).getCompleted(), set.completed());
      Resume here =
          Resume.newBuilder()
              .addEmbeddings(delivered(embedding))
              .addEmbeddings(delivered(other))
              .addImageIndices(1)
              .build();
      assertEquals(List.of(Resume.getDefaultInstance(), here), resumes(server));
    }
  }

  @Test
  void countsTheResultsOfEachTryForItself() throws IOException {
    Answer first = broken(Events.image(1, "b"));
    try (FakeServer server = new FakeServer(first, Answer.of(Events.completed(0, 1)));
        KandinskyClient client = server.client().build()) {
      assertThrows(IncompleteStreamException.class, () -> client.generate(REQUEST));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "FAILED_PRECONDITION, FINGERPRINT_MISMATCH, ''",
    "INVALID_ARGUMENT, INVALID_FIELD, options.resume.checkpoints[0].dtype",
  })
  void beginsAnewWhereAReplicaCannotGoOn(Status.Code code, String reason, String field)
      throws IOException {
    Answer refused = refused(code, reason, field);
    try (FakeServer server = new FakeServer(broken(CHECKPOINT), refused, WHOLE);
        KandinskyClient client = server.client().retries(1).build()) { // beginning anew is none
      assertEquals(1, client.generate(REQUEST).results().size());
      assertEquals(
          List.of(Resume.getDefaultInstance(), from(CHECKPOINT), Resume.getDefaultInstance()),
          resumes(server));
      assertEquals(server.requests().get(0), server.requests().get(2));
    }
    Answer delivered = broken(Events.embedding(0, 1f));
    try (FakeServer server = new FakeServer(delivered, refused, WHOLE);
        KandinskyClient client = server.client().build()) {
      RpcException error = assertThrows(RpcException.class, () -> client.generate(REQUEST));
      assertEquals(reason, error.reason());
      assertEquals(2, server.requests().size());
    }
  }

  @Test
  void endsAtARefusalOfSomethingElse() throws IOException {
    Answer field = refused(Status.Code.INVALID_ARGUMENT, "INVALID_FIELD", "sampling.step_count");
    try (FakeServer server = new FakeServer(broken(CHECKPOINT), field, WHOLE);
        KandinskyClient client = server.client().build()) {
      assertThrows(InvalidRequestException.class, () -> client.generate(REQUEST));
      assertEquals(2, server.requests().size());
    }
    Answer model = refused(Status.Code.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH", "");
    try (FakeServer server = new FakeServer(model, WHOLE);
        KandinskyClient client = server.client().build()) {
      assertThrows(FingerprintMismatchException.class, () -> client.generate(REQUEST));
      assertEquals(1, server.requests().size());
    }
  }

  @Test
  void countsRetriesAnewAfterATryThatBroughtSomething() throws IOException {
    Answer[] answers = {broken(), broken(CHECKPOINT), broken(Events.image(0, "a")), broken()};
    try (FakeServer server = new FakeServer(answers);
        KandinskyClient client = server.client().retries(1).build()) {
      assertThrows(UnavailableException.class, () -> client.generate(REQUEST));
      assertEquals(4, server.requests().size());
    }
  }

  @Test
  void goesOnFromWhatTheCallerKept() throws IOException {
    Event newer = Events.checkpoint("decoder", 0, 10);
    Resume kept = from(CHECKPOINT).toBuilder().addImageIndices(1).build();
    GenerateRequest.Builder request = REQUEST.toBuilder();
    request.getOptionsBuilder().setResume(kept);
    try (FakeServer server = new FakeServer(broken(newer), WHOLE);
        KandinskyClient client = server.client().build()) {
      ImageSet set = client.generate(request.build());
      assertEquals(1, set.completed().getImageCount());
      Resume here = from(newer).toBuilder().addImageIndices(1).build();
      assertEquals(List.of(kept, here), resumes(server));
    }
  }

  private static Answer broken(Event... events) {
    return Answer.failing(Status.UNAVAILABLE, events);
  }

  private static Answer refused(Status.Code code, String reason, String field) {
    BadRequest.FieldViolation violation =
        BadRequest.FieldViolation.newBuilder().setField(field).build();
    StatusRuntimeException error =
        StatusProto.toStatusRuntimeException(
            com.google.rpc.Status.newBuilder()
                .setCode(code.value())
                .addDetails(
                    Any.pack(
                        ErrorInfo.newBuilder()
                            .setDomain("kandinsky-grpc.github.io")
                            .setReason(reason)
                            .build()))
                .addDetails(Any.pack(BadRequest.newBuilder().addFieldViolations(violation).build()))
                .build());
    Metadata trailers = error.getTrailers();
    return Answer.failing(error.getStatus(), trailers);
  }

  private static Resume from(Event... checkpoints) {
    Resume.Builder resume = Resume.newBuilder();
    for (Event each : checkpoints) {
      resume.addCheckpoints(each.getCheckpoint());
    }
    return resume.build();
  }

  private static DeliveredEmbedding delivered(Event event) {
    return DeliveredEmbedding.newBuilder()
        .setIndex(event.getEmbedding().getIndex())
        .setEmbeddings(event.getEmbedding().getEmbeddings())
        .build();
  }

  /** Returns what each try was asked to go on from. */
  private static List<Resume> resumes(FakeServer server) {
    return server.requests().stream()
        .map(request -> ((GenerateRequest) request).getOptions().getResume())
        .toList();
  }
}
