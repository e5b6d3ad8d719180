package io.github.kandinskygrpc;

import com.google.protobuf.ByteString;
import java.util.List;

/**
 * One tensor as it is stored.
 *
 * @param dtype safetensors' name for it, such as "F32" or "BF16"
 * @param data the numbers, little-endian, row by row
 */
record Tensor(String dtype, List<Integer> shape, ByteString data) {
  /** Returns the bytes of one number; 0 for a dtype that embeddings do not have. */
  int itemBytes() {
    return switch (dtype) {
      case "F64" -> Double.BYTES;
      case "F32" -> Float.BYTES;
      case "F16", "BF16" -> Short.BYTES;
      default -> 0;
    };
  }

  /**
   * Tells whether the shape makes as many bytes; dtypes that embeddings do not have are not looked
   * into.
   */
  boolean isWhole() {
    // In double, since a stray shape may be larger than any integer.
    double count = shape.stream().mapToDouble(Integer::doubleValue).reduce(1, (a, b) -> a * b);
    boolean negative = shape.stream().anyMatch(dimension -> dimension < 0);
    return itemBytes() == 0 || (!negative && count * itemBytes() == data.size());
  }
}
