package io.github.kandinskygrpc;

import com.google.protobuf.ByteString;
import io.github.kandinskygrpc.api.v1.Dtype;
import io.github.kandinskygrpc.api.v1.Embedding;
import io.github.kandinskygrpc.api.v1.EmbeddingPair;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.stream.IntStream;

/** From embeddings to tensors of [pairs, width], and back. */
final class EmbeddingTensors {
  private EmbeddingTensors() {}

  /** Makes one tensor: float16 where all are, else float32. */
  static Tensor stacked(List<Embedding> embeddings) {
    List<float[]> rows = embeddings.stream().map(Embeddings::floats).toList();
    int width = rows.get(0).length;
    if (rows.stream().anyMatch(row -> row.length != width)) {
      throw new IllegalArgumentException("one file holds embeddings of one width");
    }
    List<Integer> shape = List.of(rows.size(), width);
    if (embeddings.stream().allMatch(embedding -> embedding.getDtype() == Dtype.DTYPE_F16)) {
      return new Tensor(
          "F16", shape, ByteString.copyFrom(embeddings.stream().map(Embedding::getData).toList()));
    }
    return new Tensor(
        "F32", shape, ByteString.copyFrom(rows.stream().map(Embeddings::bytes).toList()));
  }

  /**
   * Takes tensors apart.
   *
   * @param negative may be null
   */
  static List<EmbeddingPair> pairs(Tensor positive, Tensor negative, String fingerprint) {
    List<Embedding> positives = rows("positive", positive, fingerprint);
    if (negative == null) {
      return positives.stream()
          .map(each -> EmbeddingPair.newBuilder().setPositive(each).build())
          .toList();
    }
    List<Embedding> negatives = rows("negative", negative, fingerprint);
    if (positives.size() != negatives.size()) {
      throw new IllegalArgumentException(
          "it has %d rows of `positive` and %d of `negative`"
              .formatted(positives.size(), negatives.size()));
    }
    return IntStream.range(0, positives.size())
        .mapToObj(
            row ->
                EmbeddingPair.newBuilder()
                    .setPositive(positives.get(row))
                    .setNegative(negatives.get(row))
                    .build())
        .toList();
  }

  private static List<Embedding> rows(String name, Tensor stored, String fingerprint) {
    List<Integer> shape = stored.shape();
    if (shape.isEmpty() || shape.size() > 2 || shape.contains(0)) {
      throw new IllegalArgumentException(
          "`%s` is %s and must be [pairs, width] or [width]".formatted(name, shape));
    }
    Tensor tensor = stored.dtype().equals("F64") ? narrowed(stored) : stored;
    int width = shape.get(shape.size() - 1);
    int rowBytes = width * tensor.itemBytes();
    Dtype dtype = dtype(name, tensor.dtype());
    return IntStream.range(0, tensor.data().size() / rowBytes)
        .mapToObj(row -> tensor.data().substring(row * rowBytes, (row + 1) * rowBytes))
        .map(
            data ->
                Embedding.newBuilder()
                    .setData(data)
                    .setDtype(dtype)
                    .addShape(width)
                    .setPriorFingerprint(fingerprint)
                    .build())
        .toList();
  }

  private static Dtype dtype(String name, String stored) {
    return switch (stored) {
      case "F32" -> Dtype.DTYPE_F32;
      case "F16" -> Dtype.DTYPE_F16;
      case "BF16" -> Dtype.DTYPE_BF16;
      default ->
          throw new IllegalArgumentException(
              "`%s` is %s and must be F32, F16, BF16 or F64".formatted(name, stored));
    };
  }

  private static Tensor narrowed(Tensor wide) {
    ByteBuffer data = wide.data().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    float[] values = new float[data.remaining() / Double.BYTES];
    for (int place = 0; place < values.length; place++) {
      values[place] = (float) data.getDouble();
    }
    return new Tensor("F32", wide.shape(), Embeddings.bytes(values));
  }
}
