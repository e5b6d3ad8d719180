package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.ByteString;
import io.github.kandinskygrpc.api.v1.Dtype;
import io.github.kandinskygrpc.api.v1.Embedding;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EmbeddingsTest {
  @Test
  void float32IsLittleEndian() {
    Embedding embedding = Embeddings.of(new float[] {1f, -2.5f}, "f1");
    assertEquals(bytes(0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0), embedding.getData());
    assertEquals(List.of(2), embedding.getShapeList());
    assertEquals("f1", embedding.getPriorFingerprint());
    assertArrayEquals(new float[] {1f, -2.5f}, Embeddings.floats(embedding));
  }

  @ParameterizedTest
  @CsvSource({
    "0x3c00, 1",
    "0xc100, -2.5",
    "0x7bff, 65504",
    "0x0001, 5.9604645e-8",
    "0x03ff, 6.0975552e-5",
    "0x0400, 6.1035156e-5",
    "0x8000, -0.0",
    "0xfc00, -Infinity",
    "0x7e00, NaN",
  })
  void readsHalfPrecision(int half, float value) {
    Embedding embedding = embedding(Dtype.DTYPE_F16, bytes(half & 0xff, half >> 8), 1);
    assertEquals(value, Embeddings.floats(embedding)[0]);
  }

  @Test
  void readsBfloat16() {
    Embedding embedding = embedding(Dtype.DTYPE_BF16, bytes(0x20, 0xc0, 0x80, 0x3f), 1, 2);
    assertArrayEquals(new float[] {-2.5f, 1f}, Embeddings.floats(embedding));
  }

  @Test
  void refusesWhatDoesNotAddUp() {
    assertRefused(embedding(Dtype.DTYPE_F32, bytes(0, 0, 0, 0), 2));
    assertRefused(embedding(Dtype.DTYPE_F32, bytes(0, 0, 0, 0), 1 << 30, 1 << 30, 1 << 30));
    assertRefused(embedding(Dtype.DTYPE_UNSPECIFIED, bytes(0), 1));
    assertRefused(Embedding.newBuilder().setDtypeValue(9).build());
  }

  private static void assertRefused(Embedding embedding) {
    assertThrows(IllegalArgumentException.class, () -> Embeddings.floats(embedding));
  }

  private static Embedding embedding(Dtype dtype, ByteString data, Integer... shape) {
    return Embedding.newBuilder().setDtype(dtype).setData(data).addAllShape(List.of(shape)).build();
  }

  private static ByteString bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int place = 0; place < values.length; place++) {
      bytes[place] = (byte) values[place];
    }
    return ByteString.copyFrom(bytes);
  }
}
