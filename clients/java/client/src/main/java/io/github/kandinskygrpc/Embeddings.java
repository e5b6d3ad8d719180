package io.github.kandinskygrpc;

import com.google.protobuf.ByteString;
import io.github.kandinskygrpc.api.v1.Dtype;
import io.github.kandinskygrpc.api.v1.Embedding;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/** From the numbers of an embedding to its message, and back. */
public final class Embeddings {
  private Embeddings() {}

  /**
   * Makes a float32 embedding.
   *
   * @param values the numbers, as many as the server's embeddings are wide
   * @param priorFingerprint the fingerprint of the prior that made it; empty is not checked by the
   *     server
   */
  public static Embedding of(float[] values, String priorFingerprint) {
    return Embedding.newBuilder()
        .setData(bytes(values))
        .setDtype(Dtype.DTYPE_F32)
        .addShape(values.length)
        .setPriorFingerprint(priorFingerprint)
        .build();
  }

  /**
   * Returns the numbers of an embedding of any dtype in float32, which holds each exactly.
   *
   * @throws IllegalArgumentException if its dtype is not known, or its bytes are not what its shape
   *     says
   */
  public static float[] floats(Embedding embedding) {
    ByteBuffer data = embedding.getData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    int size = sizeBytes(embedding.getDtype());
    // In double, since a stray shape may be larger than any integer.
    double count =
        embedding.getShapeList().stream()
            .mapToDouble(Integer::doubleValue)
            .reduce(1, (a, b) -> a * b);
    if (data.remaining() != count * size) {
      throw new IllegalArgumentException(
          "%s values of %s are not %d bytes"
              .formatted(embedding.getShapeList(), embedding.getDtype(), data.remaining()));
    }
    float[] values = new float[(int) count];
    for (int place = 0; place < values.length; place++) {
      values[place] = next(data, embedding.getDtype());
    }
    return values;
  }

  /** Returns numbers as little-endian bytes. */
  static ByteString bytes(float[] values) {
    ByteBuffer data =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    data.asFloatBuffer().put(FloatBuffer.wrap(values));
    return ByteString.copyFrom(data);
  }

  private static int sizeBytes(Dtype dtype) {
    return switch (dtype) {
      case DTYPE_F32 -> 4;
      case DTYPE_F16, DTYPE_BF16 -> 2;
      case DTYPE_UNSPECIFIED, UNRECOGNIZED ->
          throw new IllegalArgumentException(
              "an embedding of dtype " + dtype + " needs a newer client");
    };
  }

  private static float next(ByteBuffer data, Dtype dtype) {
    return switch (dtype) {
      case DTYPE_F16 -> HalfFloats.toFloat(data.getShort());
      case DTYPE_BF16 -> Float.intBitsToFloat(data.getShort() << 16);
      default -> data.getFloat();
    };
  }
}
