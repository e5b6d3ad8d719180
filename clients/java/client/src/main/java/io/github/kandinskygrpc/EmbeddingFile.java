package io.github.kandinskygrpc;

import io.github.kandinskygrpc.api.v1.EmbeddingPair;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.Receipt;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Embedding pairs as {@code .safetensors} files hold them: tensors {@code positive} and {@code
 * negative}, each [pairs, width], which is what diffusers takes as image_embeds and
 * negative_image_embeds; and the receipts.
 *
 * @param pairs the pairs: of one width and prior, all with a negative embedding or none
 * @param receipts what made each pair; the message's default instance where that is unknown
 */
public record EmbeddingFile(List<EmbeddingPair> pairs, List<Receipt> receipts) {
  private static final String POSITIVE = "positive";
  private static final String NEGATIVE = "negative";
  private static final String FINGERPRINT = "prior_fingerprint";
  private static final String RECEIPTS = "receipts";

  /**
   * Copies the lists.
   *
   * @throws IllegalArgumentException if there are no pairs, or not as many receipts
   */
  public EmbeddingFile {
    pairs = List.copyOf(pairs);
    receipts = List.copyOf(receipts);
    if (pairs.isEmpty() || pairs.size() != receipts.size()) {
      throw new IllegalArgumentException(
          "a file holds one pair or more, and a receipt for each; not %d pairs and %d receipts"
              .formatted(pairs.size(), receipts.size()));
    }
  }

  /** Holds the results of {@code prior} or {@code interpolate}. */
  public static EmbeddingFile of(List<EmbeddingResult> results) {
    return new EmbeddingFile(
        results.stream().map(EmbeddingResult::getEmbeddings).toList(),
        results.stream().map(EmbeddingResult::getReceipt).map(ReceiptsJson::withTimes).toList());
  }

  /** Holds pairs of which nobody knows what made them. */
  public static EmbeddingFile ofPairs(List<EmbeddingPair> pairs) {
    return new EmbeddingFile(
        pairs, Collections.nCopies(pairs.size(), Receipt.getDefaultInstance()));
  }

  /**
   * Reads a file; any that has a tensor {@code positive} will do. float64 becomes float32.
   *
   * @throws EmbeddingFileException if the file holds something else, or is damaged
   * @throws IOException if the file cannot be read
   */
  public static EmbeddingFile read(Path path) throws IOException {
    byte[] content = Files.readAllBytes(path);
    try {
      return of(SafetensorsFile.parse(content));
    } catch (IllegalArgumentException e) {
      throw new EmbeddingFileException(path + " is no file of embeddings: " + e.getMessage(), e);
    }
  }

  /**
   * Writes the file, making its folder and replacing what was there. float16 is kept; bfloat16 is
   * written as float32, which holds it exactly and which numpy can read.
   *
   * @throws IllegalArgumentException if pairs differ in width, prior, or in having a negative
   *     embedding
   * @throws IOException if the file cannot be written
   */
  public void write(Path path) throws IOException {
    byte[] content = safetensors().toBytes();
    Files.createDirectories(path.toAbsolutePath().getParent());
    Files.write(path, content);
  }

  private static EmbeddingFile of(SafetensorsFile file) {
    Tensor positive = file.tensors().get(POSITIVE);
    if (positive == null) {
      throw new IllegalArgumentException(
          "it has no tensor `positive`, but " + file.tensors().keySet());
    }
    String fingerprint = file.metadata().getOrDefault(FINGERPRINT, "");
    List<EmbeddingPair> pairs =
        EmbeddingTensors.pairs(positive, file.tensors().get(NEGATIVE), fingerprint);
    String receipts = file.metadata().getOrDefault(RECEIPTS, "null");
    return new EmbeddingFile(pairs, ReceiptsJson.parse(receipts, pairs.size()));
  }

  private SafetensorsFile safetensors() {
    String fingerprint = pairs.get(0).getPositive().getPriorFingerprint();
    long negatives = pairs.stream().filter(EmbeddingPair::hasNegative).count();
    boolean alike =
        (negatives == 0 || negatives == pairs.size())
            && pairs.stream()
                .allMatch(pair -> pair.getPositive().getPriorFingerprint().equals(fingerprint));
    if (!alike) {
      throw new IllegalArgumentException(
          "one file holds pairs of one prior, all with a negative embedding or none");
    }
    Map<String, Tensor> tensors = new TreeMap<>();
    tensors.put(
        POSITIVE,
        EmbeddingTensors.stacked(pairs.stream().map(EmbeddingPair::getPositive).toList()));
    if (negatives > 0) {
      tensors.put(
          NEGATIVE,
          EmbeddingTensors.stacked(pairs.stream().map(EmbeddingPair::getNegative).toList()));
    }
    return new SafetensorsFile(
        tensors, Map.of(FINGERPRINT, fingerprint, RECEIPTS, ReceiptsJson.write(receipts)));
  }
}
