package io.github.kandinskygrpc;

import static java.util.Comparator.comparingInt;

import io.github.kandinskygrpc.api.v1.Completed;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.ImageResult;
import java.util.ArrayList;
import java.util.List;

/** Collects the results of a whole stream. */
final class Gathering {
  private final List<EmbeddingResult> embeddings = new ArrayList<>();
  private final List<ImageResult> images = new ArrayList<>();
  private Completed completed = Completed.getDefaultInstance();

  /** Reads the stream to its end, which is {@code completed} or an exception. */
  Gathering(EventStream events) {
    for (Event event : events) {
      switch (event.getKindCase()) {
        case EMBEDDING -> embeddings.add(event.getEmbedding());
        case IMAGE -> images.add(event.getImage());
        case COMPLETED -> completed = event.getCompleted();
        default -> {} // how far it is
      }
    }
    embeddings.sort(comparingInt(EmbeddingResult::getIndex));
    images.sort(comparingInt(ImageResult::getIndex));
  }

  EmbeddingSet embeddingSet() {
    return new EmbeddingSet(embeddings, completed);
  }

  ImageSet imageSet() {
    return new ImageSet(images, completed, embeddings);
  }
}
