package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.kandinskygrpc.api.v1.Receipt;
import java.util.List;
import org.junit.jupiter.api.Test;

class ReceiptsJsonTest {
  @Test
  void sortsMapsByTheirKeys() {
    Receipt receipt =
        Receipt.newBuilder()
            .putConditionTexts(10, "b")
            .putConditionTexts(2, "a")
            .putVersions("torch", "2")
            .putVersions("server", "1")
            .build();
    String times = "\"timings\": {\"queued\": \"0s\", \"denoising\": \"0s\", \"total\": \"0s\"}";
    assertEquals(
        "[{\"versions\": {\"server\": \"1\", \"torch\": \"2\"}, "
            + times
            + ", \"condition_texts\": {\"2\": \"a\", \"10\": \"b\"}}]",
        ReceiptsJson.write(List.of(receipt)));
  }

  @Test
  void readsFieldsThatAreNewerThanItself() {
    List<Receipt> receipts = ReceiptsJson.parse("[{\"seed\": \"9007199254740993\", \"x\": 1}]", 1);
    assertEquals(9007199254740993L, receipts.get(0).getSeed());
  }

  @Test
  void takesNothingForNoReceipts() {
    List<Receipt> none = List.of(Receipt.getDefaultInstance(), Receipt.getDefaultInstance());
    for (String text : List.of("", "null", "[]", "[null, null]", "[null, {}]")) {
      assertEquals(none, ReceiptsJson.parse(text, 2));
    }
  }
}
