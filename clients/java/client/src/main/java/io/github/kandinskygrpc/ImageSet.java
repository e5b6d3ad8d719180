package io.github.kandinskygrpc;

import io.github.kandinskygrpc.api.v1.Completed;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.ImageResult;
import java.util.Iterator;
import java.util.List;

/**
 * What calls for images return.
 *
 * @param results the images, in the request's order, each whole in its {@code data}
 * @param completed the end of the stream, with the seed of the first image
 * @param embeddings the embeddings that {@code generate} made on the way, in the request's order;
 *     the image that was made of one has its index
 */
public record ImageSet(
    List<ImageResult> results, Completed completed, List<EmbeddingResult> embeddings)
    implements Iterable<ImageResult> {
  /** Copies the lists. */
  public ImageSet {
    results = List.copyOf(results);
    embeddings = List.copyOf(embeddings);
  }

  @Override
  public Iterator<ImageResult> iterator() {
    return results.iterator();
  }
}
