package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import io.github.kandinskygrpc.api.v1.Embedding;
import io.github.kandinskygrpc.api.v1.EmbeddingPair;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.Event;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class AssemblyTest {
  private final Assembly assembly = new Assembly();

  @Test
  void joinsChunksIntoOneImage() {
    List<Event> events =
        received(Events.image(0, "", 6, 2), Events.chunk(0, 0, "abc"), Events.chunk(0, 3, "def"));
    assertEquals(1, events.size());
    assertEquals(ByteString.copyFromUtf8("abcdef"), events.get(0).getImage().getData());
    received(Events.completed(0, 1));
    assertEquals(1, assembly.finish().getCompleted().getImageCount());
  }

  @Test
  void passesOverKindsThatItDoesNotKnow() {
    assertTrue(assembly.receive(Event.getDefaultInstance()).isEmpty());
  }

  @Test
  void holdsCompletedBackUntilTheEnd() {
    assertTrue(assembly.receive(Events.completed(0, 0)).isEmpty());
    assertEquals(Events.completed(0, 0), assembly.finish());
  }

  @Test
  void refusesAnEndWithoutCompleted() {
    received(Events.QUEUED);
    assertIncomplete(assembly::finish, "without `completed`");
  }

  @Test
  void refusesFewerResultsThanWereSent() {
    received(Events.embedding(0, 1), Events.completed(2, 1));
    assertIncomplete(assembly::finish, "2 embeddings and 1 images were sent, 1 and 0 arrived");
  }

  @Test
  void refusesAnEndAmongChunks() {
    received(Events.image(0, "", 6, 2), Events.chunk(0, 0, "abc"), Events.completed(0, 0));
    assertIncomplete(assembly::finish, "arrived whole");
  }

  @Test
  void refusesChunksThatAreSwappedOrMissing() {
    received(Events.image(0, "", 6, 2));
    assertIncomplete(() -> received(Events.chunk(0, 3, "def")), "its next should be 0, not 3");
  }

  @Test
  void refusesAChunkTooMany() {
    received(Events.image(0, "", 3, 1), Events.chunk(0, 0, "abc"));
    assertIncomplete(() -> received(Events.chunk(0, 3, "d")), "none was announced");
  }

  @Test
  void refusesFewerChunksThanAnnounced() {
    received(Events.image(0, "", 3, 2), Events.chunk(0, 0, "abc"), Events.completed(0, 1));
    assertIncomplete(assembly::finish, "arrived whole");
  }

  @Test
  void refusesAnImageOfAnotherSize() {
    assertIncomplete(() -> received(Events.image(0, "abc", 4, 0)), "3 bytes of 4");
    assertIncomplete(() -> received(Events.image(0, "abcde", 4, 1)), "5 bytes of 4");
  }

  @Test
  void refusesAnEmbeddingThatDoesNotAddUp() {
    Embedding cut =
        Embeddings.of(new float[] {1, 2}, "").toBuilder()
            .setData(ByteString.copyFromUtf8("abc"))
            .build();
    EmbeddingResult result =
        EmbeddingResult.newBuilder()
            .setEmbeddings(EmbeddingPair.newBuilder().setPositive(cut))
            .build();
    Event event = Event.newBuilder().setEmbedding(result).build();
    assertIncomplete(() -> received(event), "embedding 0: [2] values of DTYPE_F32 are not 3 bytes");
  }

  private List<Event> received(Event... events) {
    List<Event> completed = new ArrayList<>();
    for (Event event : events) {
      assembly.receive(event).ifPresent(completed::add);
    }
    return completed;
  }

  private static void assertIncomplete(Executable executable, String message) {
    IncompleteStreamException error = assertThrows(IncompleteStreamException.class, executable);
    assertTrue(error.getMessage().contains(message), error.getMessage());
  }
}
