package io.github.kandinskygrpc;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;

/**
 * The safetensors format: 8 bytes of the header's length, little-endian; the header, JSON padded
 * with spaces to a multiple of 8 bytes; the tensors' bytes, one after the other.
 *
 * @see <a href="https://github.com/huggingface/safetensors">safetensors</a>
 */
record SafetensorsFile(Map<String, Tensor> tensors, Map<String, String> metadata) {
  private static final int LENGTH_BYTES = Long.BYTES;
  private static final int ALIGNMENT = 8;

  /**
   * Reads a file.
   *
   * @throws IllegalArgumentException if it is no such file, or is damaged
   */
  static SafetensorsFile parse(byte[] content) {
    if (content.length < LENGTH_BYTES) {
      throw new IllegalArgumentException("it is too short");
    }
    long length = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).getLong();
    if (length < 0 || length > content.length - LENGTH_BYTES) {
      throw new IllegalArgumentException("its header is longer than the file");
    }
    ByteString all = ByteString.copyFrom(content);
    int dataStart = LENGTH_BYTES + (int) length;
    ByteString header = all.substring(LENGTH_BYTES, dataStart);
    if (!header.isValidUtf8()) {
      throw new IllegalArgumentException("its header is no UTF-8");
    }
    return SafetensorsHeader.parse(header.toStringUtf8(), all.substring(dataStart));
  }

  /** Writes the file as the format's own library does: wider dtypes first, then by name. */
  byte[] toBytes() {
    List<Map.Entry<String, Tensor>> ordered = SafetensorsHeader.ordered(tensors);
    byte[] header = SafetensorsHeader.write(ordered, metadata).getBytes(UTF_8);
    int padded = (header.length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    int dataBytes = ordered.stream().mapToInt(each -> each.getValue().data().size()).sum();
    ByteBuffer file =
        ByteBuffer.allocate(LENGTH_BYTES + padded + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(padded).put(header);
    while (file.position() < LENGTH_BYTES + padded) {
      file.put((byte) ' ');
    }
    ordered.forEach(each -> each.getValue().data().copyTo(file));
    return file.array();
  }
}
