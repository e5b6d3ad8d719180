package io.github.kandinskygrpc;

import io.github.kandinskygrpc.api.v1.Completed;
import io.github.kandinskygrpc.api.v1.EmbeddingPair;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;

/**
 * What {@code prior} and {@code interpolate} return.
 *
 * @param results the embeddings, in the request's order
 * @param completed the end of the stream, with the seed of the first result
 */
public record EmbeddingSet(List<EmbeddingResult> results, Completed completed)
    implements Iterable<EmbeddingResult> {
  /** Copies the list. */
  public EmbeddingSet {
    results = List.copyOf(results);
  }

  /**
   * Returns what requests for images take: {@code
   * DecodeRequest.newBuilder().addAllEmbeddings(set.pairs())}.
   */
  public List<EmbeddingPair> pairs() {
    return results.stream().map(EmbeddingResult::getEmbeddings).toList();
  }

  /**
   * Writes the pairs and their receipts to a {@code .safetensors} file, making its folder and
   * replacing what was there.
   *
   * @throws IOException if the file cannot be written
   */
  public void save(Path path) throws IOException {
    EmbeddingFile.of(results).write(path);
  }

  @Override
  public Iterator<EmbeddingResult> iterator() {
    return results.iterator();
  }
}
