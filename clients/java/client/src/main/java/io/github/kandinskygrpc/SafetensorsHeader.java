package io.github.kandinskygrpc;

import static java.util.Comparator.comparingInt;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.Strictness;
import com.google.gson.annotations.SerializedName;
import com.google.gson.reflect.TypeToken;
import com.google.protobuf.ByteString;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The JSON at the beginning of a safetensors file. */
final class SafetensorsHeader {
  private static final String METADATA = "__metadata__";
  private static final Gson JSON =
      new GsonBuilder().setStrictness(Strictness.STRICT).disableHtmlEscaping().create();

  private SafetensorsHeader() {}

  /** What the header says of one tensor. */
  private record Entry(
      String dtype, List<Integer> shape, @SerializedName("data_offsets") List<Integer> offsets) {
    boolean isWhole() {
      return dtype != null
          && shape != null
          && !shape.contains(null)
          && offsets != null
          && offsets.size() == 2
          && !offsets.contains(null);
    }
  }

  static SafetensorsFile parse(String header, ByteString data) {
    Map<String, String> metadata = Map.of();
    Map<String, Tensor> tensors = new TreeMap<>();
    try {
      JsonObject fields = JSON.fromJson(header, JsonObject.class);
      if (fields == null) {
        throw new IllegalArgumentException("its header is empty");
      }
      JsonElement told = fields.remove(METADATA);
      if (told != null) {
        metadata = JSON.fromJson(told, new TypeToken<>() {});
      }
      for (Map.Entry<String, JsonElement> field : fields.entrySet()) {
        Entry entry = JSON.fromJson(field.getValue(), Entry.class);
        tensors.put(field.getKey(), tensor(field.getKey(), entry, data));
      }
    } catch (JsonParseException e) {
      throw new IllegalArgumentException("its header: " + e.getMessage(), e);
    }
    long bytes = tensors.values().stream().mapToLong(each -> each.data().size()).sum();
    if (bytes != data.size()) {
      throw new IllegalArgumentException(
          "its tensors have %d bytes, the file %d".formatted(bytes, data.size()));
    }
    return new SafetensorsFile(tensors, metadata);
  }

  static List<Map.Entry<String, Tensor>> ordered(Map<String, Tensor> tensors) {
    return tensors.entrySet().stream()
        .sorted(
            comparingInt((Map.Entry<String, Tensor> each) -> -each.getValue().itemBytes())
                .thenComparing(Map.Entry.comparingByKey()))
        .toList();
  }

  static String write(List<Map.Entry<String, Tensor>> tensors, Map<String, String> metadata) {
    JsonObject header = new JsonObject();
    header.add(METADATA, JSON.toJsonTree(new TreeMap<>(metadata)));
    int begin = 0;
    for (Map.Entry<String, Tensor> each : tensors) {
      Tensor tensor = each.getValue();
      int end = begin + tensor.data().size();
      Entry entry = new Entry(tensor.dtype(), tensor.shape(), List.of(begin, end));
      header.add(each.getKey(), JSON.toJsonTree(entry));
      begin = end;
    }
    return JSON.toJson(header);
  }

  private static Tensor tensor(String name, Entry entry, ByteString data) {
    if (entry == null || !entry.isWhole()) {
      throw new IllegalArgumentException(
          "`%s` is without dtype, shape or data_offsets".formatted(name));
    }
    int begin = entry.offsets().get(0);
    int end = entry.offsets().get(1);
    if (begin < 0 || begin > end || end > data.size()) {
      throw new IllegalArgumentException(
          "`%s` is cut off: %d to %d of %d bytes".formatted(name, begin, end, data.size()));
    }
    Tensor tensor = new Tensor(entry.dtype(), entry.shape(), data.substring(begin, end));
    if (!tensor.isWhole()) {
      throw new IllegalArgumentException(
          "`%s`: %s of %s are not %d bytes"
              .formatted(name, entry.shape(), entry.dtype(), end - begin));
    }
    return tensor;
  }
}
