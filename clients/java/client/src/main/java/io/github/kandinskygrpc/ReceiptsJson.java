package io.github.kandinskygrpc;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.Strictness;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.JsonFormat;
import io.github.kandinskygrpc.api.v1.Receipt;
import io.github.kandinskygrpc.api.v1.Timings;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Receipts as embedding files hold them: a JSON list of protobuf's JSON form, null where there is
 * none.
 */
final class ReceiptsJson {
  private static final Gson STRICT =
      new GsonBuilder().setStrictness(Strictness.STRICT).serializeNulls().create();

  private ReceiptsJson() {}

  /**
   * Reads the list; nothing at all is no receipt for each. Fields that are newer than this client
   * are passed over.
   *
   * @throws IllegalArgumentException if it is not that, or not of {@code count}
   */
  static List<Receipt> parse(String text, int count) {
    try {
      JsonElement json = STRICT.fromJson(text, JsonElement.class);
      if (json == null || json.isJsonNull() || isEmpty(json)) {
        return Collections.nCopies(count, Receipt.getDefaultInstance());
      }
      if (!json.isJsonArray() || json.getAsJsonArray().size() != count) {
        throw new IllegalArgumentException(
            "its metadata `receipts` is no JSON list of %d, one a row".formatted(count));
      }
      List<Receipt> receipts = new ArrayList<>();
      for (JsonElement each : json.getAsJsonArray()) {
        receipts.add(receipt(each));
      }
      return receipts;
    } catch (JsonParseException | InvalidProtocolBufferException e) {
      throw new IllegalArgumentException("its metadata `receipts`: " + e.getMessage(), e);
    }
  }

  /** Writes the list, the same bytes in every client. */
  static String write(List<Receipt> receipts) {
    return receipts.stream().map(ReceiptsJson::written).collect(Collectors.joining(", ", "[", "]"));
  }

  private static boolean isEmpty(JsonElement json) {
    return json instanceof JsonArray list && list.isEmpty();
  }

  private static Receipt receipt(JsonElement json) throws InvalidProtocolBufferException {
    Receipt.Builder receipt = Receipt.newBuilder();
    if (!json.isJsonNull()) {
      JsonFormat.parser().ignoringUnknownFields().merge(STRICT.toJson(json), receipt);
    }
    return receipt.build();
  }

  private static String written(Receipt receipt) {
    if (receipt.equals(Receipt.getDefaultInstance())) {
      return "null";
    }
    try {
      String json =
          JsonFormat.printer()
              .preservingProtoFieldNames()
              .sortingMapKeys()
              .omittingInsignificantWhitespace()
              .print(withTimes(receipt));
      return PythonJson.write(STRICT.fromJson(json, JsonElement.class));
    } catch (InvalidProtocolBufferException e) { // of an Any alone, which receipts do not have
      throw new IllegalArgumentException(e);
    }
  }

  /** Returns a receipt that is written, with its times, even where the server told nothing. */
  static Receipt withTimes(Receipt receipt) {
    Timings times = receipt.getTimings();
    return receipt.toBuilder()
        .setTimings(
            Timings.newBuilder()
                .setQueued(times.getQueued())
                .setDenoising(times.getDenoising())
                .setTotal(times.getTotal()))
        .build();
  }
}
