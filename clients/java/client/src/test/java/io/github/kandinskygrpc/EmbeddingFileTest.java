package io.github.kandinskygrpc;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.kandinskygrpc.api.v1.Dtype;
import io.github.kandinskygrpc.api.v1.Embedding;
import io.github.kandinskygrpc.api.v1.EmbeddingPair;
import io.github.kandinskygrpc.api.v1.Receipt;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EmbeddingFileTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"prior.safetensors", "interpolate.safetensors"})
  void writesTheBytesThatPythonWrites(String name) throws IOException {
    byte[] written = resource(name);
    Path copy = folder.resolve("new").resolve(name);
    EmbeddingFile.read(file(written)).write(copy);
    assertArrayEquals(written, Files.readAllBytes(copy));
  }

  @Test
  void readsPairsAndReceipts() throws IOException {
    EmbeddingFile file = EmbeddingFile.read(file(resource("prior.safetensors")));
    assertEquals(2, file.pairs().size());
    assertEquals("a blue ball", file.receipts().get(1).getPrompt());
    assertEquals(8, file.receipts().get(1).getSeed());
    Embedding embedding = file.pairs().get(0).getPositive();
    assertEquals("5105dd1e92fc9c0311e6add355c20365", embedding.getPriorFingerprint());
    assertEquals(96, Embeddings.floats(embedding).length);
    assertTrue(file.pairs().get(0).hasNegative());
  }

  @Test
  void keepsPairsWithoutNegativeOrReceipt() throws IOException {
    Path path = folder.resolve("pairs.safetensors");
    EmbeddingFile.ofPairs(List.of(pair("f1", 1f, 2f))).write(path);
    EmbeddingFile read = EmbeddingFile.read(path);
    assertEquals(List.of(pair("f1", 1f, 2f)), read.pairs());
    assertEquals(List.of(Receipt.getDefaultInstance()), read.receipts());
    assertTrue(Files.readString(path, ISO_8859_1).contains("[null]"));
  }

  @Test
  void keepsHalfPrecisionAndWidensBfloat16() throws IOException {
    assertEquals(Dtype.DTYPE_F16, rewritten("F16", 2).getDtype());
    assertEquals(Dtype.DTYPE_F32, rewritten("BF16", 2).getDtype());
    assertEquals(Dtype.DTYPE_F32, rewritten("F64", 8).getDtype());
  }

  @Test
  void refusesWhatIsNoSuchFile() throws IOException {
    byte[] whole = resource("prior.safetensors");
    assertRefused(Arrays.copyOf(whole, whole.length - 1));
    assertRefused(Arrays.copyOf(whole, whole.length + 1));
    assertRefused(Arrays.copyOf(whole, 100));
    assertRefused(new byte[0]);
    assertRefused("these are no embeddings\n".getBytes(UTF_8));
    assertRefused(content("null", 0));
    assertRefused(content("{}", 0));
    assertRefused(content("{\"positive\":{}}", 0));
    assertRefused(content("{\"positive\":7}", 0));
    assertRefused(content(header("F32", "[null]", 8), 8));
    assertRefused(content("{\"positive\":null}", 0));
    assertRefused(content("{\"__metadata__\":{\"a\":{}}}", 0));
    assertRefused(content(header("I32", "[1,2]", 8), 8));
    assertRefused(content(header("F32", "[2,2]", 8), 8));
    assertRefused(content(header("F32", "[-1,-2]", 8), 8));
    assertRefused(content(header("F32", "[]", 4), 4));
    assertRefused(content(header("F32", "[0,2]", 0), 0));
    assertRefused(content(header("F32", "[1,1,2]", 8), 8));
    assertRefused(content(header("F32", "[1,2]", 16), 8));
    assertRefused(
        content(
            header("F32", "[2]", 8).replace("{\"p", "{\"__metadata__\":{\"receipts\":\"[7]\"},\"p"),
            8));
  }

  @Test
  void refusesToWritePairsThatDiffer() {
    EmbeddingPair pair = pair("f1", 1f);
    EmbeddingPair negative = pair.toBuilder().setNegative(pair.getPositive()).build();
    assertUnwritable(pair, pair("f2", 1f));
    assertUnwritable(pair, pair("f1", 1f, 2f));
    assertUnwritable(pair, negative);
    assertThrows(IllegalArgumentException.class, () -> EmbeddingFile.ofPairs(List.of()));
    assertFalse(Files.exists(folder.resolve("differ")));
  }

  @Test
  void leavesMissingFilesToTheCaller() {
    assertThrows(NoSuchFileException.class, () -> EmbeddingFile.read(folder.resolve("nowhere")));
  }

  private Embedding rewritten(String dtype, int itemBytes) throws IOException {
    int size = 2 * itemBytes;
    Path path = folder.resolve(dtype);
    EmbeddingFile.read(file(content(header(dtype, "[2]", size), size))).write(path);
    return EmbeddingFile.read(path).pairs().get(0).getPositive();
  }

  private void assertRefused(byte[] content) throws IOException {
    Path file = file(content);
    assertThrows(EmbeddingFileException.class, () -> EmbeddingFile.read(file));
  }

  private void assertUnwritable(EmbeddingPair... pairs) {
    EmbeddingFile file = EmbeddingFile.ofPairs(List.of(pairs));
    assertThrows(IllegalArgumentException.class, () -> file.write(folder.resolve("differ")));
  }

  private Path file(byte[] content) throws IOException {
    return Files.write(Files.createTempFile(folder, "given", ".safetensors"), content);
  }

  private static byte[] resource(String name) throws IOException {
    try (InputStream stream = EmbeddingFileTest.class.getResourceAsStream(name)) {
      return stream.readAllBytes();
    }
  }

  private static String header(String dtype, String shape, int end) {
    return "{\"positive\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[0,%d]}}"
        .formatted(dtype, shape, end);
  }

  private static byte[] content(String header, int dataBytes) {
    byte[] text = header.getBytes(UTF_8);
    return ByteBuffer.allocate(Long.BYTES + text.length + dataBytes)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(text.length)
        .put(text)
        .array();
  }

  private static EmbeddingPair pair(String fingerprint, float... values) {
    return EmbeddingPair.newBuilder().setPositive(Embeddings.of(values, fingerprint)).build();
  }
}
