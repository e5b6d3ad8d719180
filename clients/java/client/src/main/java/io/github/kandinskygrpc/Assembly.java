package io.github.kandinskygrpc;

import com.google.protobuf.ByteString;
import io.github.kandinskygrpc.api.v1.Completed;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.ImageChunk;
import io.github.kandinskygrpc.api.v1.ImageResult;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Joins the chunks of one stream's images, and checks that all of it came. */
final class Assembly {
  private final Set<Integer> embeddings = new HashSet<>();
  private final Set<Integer> images = new HashSet<>();
  private final Map<Integer, Arrival> arriving = new HashMap<>();
  private Event completed;

  /**
   * Takes the next event of the wire, and returns the one that it completes, if any: an image comes
   * with all of its bytes in {@code data}. {@code completed} is held back until {@link #finish},
   * when the status is known to be OK.
   */
  Optional<Event> receive(Event event) {
    return switch (event.getKindCase()) {
      case QUEUED, PROGRESS, PREVIEW -> Optional.of(event);
      case EMBEDDING -> {
        check(event.getEmbedding());
        embeddings.add(event.getEmbedding().getIndex());
        yield Optional.of(event);
      }
      case IMAGE -> {
        Arrival arrival = new Arrival(event.getImage());
        arriving.put(event.getImage().getIndex(), arrival);
        yield arrived(arrival);
      }
      case CHUNK -> arrived(appended(event.getChunk()));
      case COMPLETED -> {
        completed = event;
        yield Optional.empty();
      }
      case CHECKPOINT -> Optional.empty(); // is for the next try, not for the caller
      case KIND_NOT_SET -> Optional.empty(); // a kind of event that is newer than this client
    };
  }

  /** Returns the end of a stream that ended with status OK. */
  Event finish() {
    if (completed == null) {
      throw new IncompleteStreamException(
          "the stream ended without `completed`: results may be missing");
    }
    Completed end = completed.getCompleted();
    boolean whole =
        embeddings.size() == end.getEmbeddingCount()
            && images.size() == end.getImageCount()
            && arriving.isEmpty();
    if (!whole) {
      throw new IncompleteStreamException(
          "%d embeddings and %d images were sent, %d and %d arrived whole"
              .formatted(
                  end.getEmbeddingCount(), end.getImageCount(), embeddings.size(), images.size()));
    }
    return completed;
  }

  private static void check(EmbeddingResult result) {
    try {
      Embeddings.floats(result.getEmbeddings().getPositive());
      if (result.getEmbeddings().hasNegative()) {
        Embeddings.floats(result.getEmbeddings().getNegative());
      }
    } catch (IllegalArgumentException e) {
      throw new IncompleteStreamException(
          "embedding %d: %s".formatted(result.getIndex(), e.getMessage()));
    }
  }

  private Arrival appended(ImageChunk chunk) {
    Arrival arrival = arriving.get(chunk.getIndex());
    if (arrival == null) {
      throw new IncompleteStreamException(
          "a chunk of image %d came that none was announced for".formatted(chunk.getIndex()));
    }
    if (chunk.getOffsetBytes() != arrival.data.size()) {
      throw new IncompleteStreamException(
          "image %d misses bytes: its next should be %d, not %d"
              .formatted(chunk.getIndex(), arrival.data.size(), chunk.getOffsetBytes()));
    }
    arrival.data = arrival.data.concat(chunk.getData());
    arrival.chunkCount++;
    return arrival;
  }

  private Optional<Event> arrived(Arrival arrival) {
    ImageResult header = arrival.header;
    long missing = header.getSizeBytes() - arrival.data.size();
    boolean whole = arrival.chunkCount >= header.getChunkCount();
    if (missing < 0 || (whole && missing > 0)) {
      throw new IncompleteStreamException(
          "image %d has %d bytes of %d, after %d chunks of %d"
              .formatted(
                  header.getIndex(),
                  arrival.data.size(),
                  header.getSizeBytes(),
                  arrival.chunkCount,
                  header.getChunkCount()));
    }
    if (!whole) {
      return Optional.empty();
    }
    arriving.remove(header.getIndex());
    images.add(header.getIndex());
    ImageResult image = header.toBuilder().setData(arrival.data).build();
    return Optional.of(Event.newBuilder().setImage(image).build());
  }

  /** An image whose chunks are on their way. */
  private static final class Arrival {
    private final ImageResult header;
    private ByteString data;
    private int chunkCount;

    Arrival(ImageResult header) {
      this.header = header;
      this.data = header.getData();
    }
  }
}
