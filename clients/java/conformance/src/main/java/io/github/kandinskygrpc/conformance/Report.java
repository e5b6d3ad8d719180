package io.github.kandinskygrpc.conformance;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.protobuf.ByteString;
import com.google.protobuf.MessageLite;
import io.github.kandinskygrpc.EmbeddingFile;
import io.github.kandinskygrpc.EmbeddingFileException;
import io.github.kandinskygrpc.Embeddings;
import io.github.kandinskygrpc.Health;
import io.github.kandinskygrpc.IncompleteStreamException;
import io.github.kandinskygrpc.RpcException;
import io.github.kandinskygrpc.api.v1.Completed;
import io.github.kandinskygrpc.api.v1.Embedding;
import io.github.kandinskygrpc.api.v1.EmbeddingPair;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.ImageResult;
import io.github.kandinskygrpc.api.v1.Preview;
import io.github.kandinskygrpc.api.v1.Progress;
import io.github.kandinskygrpc.api.v1.Queued;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What the program reports of one case; fills up while it is carried out. */
final class Report {
  private static final Gson JSON = new GsonBuilder().serializeNulls().create();

  private final Case given;
  private final Map<String, Object> content = new LinkedHashMap<>();
  private final List<EmbeddingResult> results = new ArrayList<>();

  Report(Case given) {
    this.given = given;
    content.put("case", given.text("case").orElseThrow());
  }

  String json() {
    return JSON.toJson(content);
  }

  /** Takes an event; returns whether the case cancels at it. */
  boolean add(Event event) {
    String kind = event.getKindCase().name().toLowerCase(Locale.ROOT);
    append("events", kind);
    switch (event.getKindCase()) {
      case QUEUED -> content.put("queued", queued(event.getQueued()));
      case PROGRESS -> append("progress", progress(event.getProgress()));
      case PREVIEW -> append("previews", preview(event.getPreview()));
      case EMBEDDING -> {
        results.add(event.getEmbedding());
        append("embeddings", embedding(event.getEmbedding()));
      }
      case IMAGE -> append("images", image(event.getImage()));
      case COMPLETED -> content.put("completed", completed(event.getCompleted()));
      default -> throw new IllegalStateException("not the client's to give: " + kind);
    }
    return kind.equals(given.text("cancel_on").orElse(""));
  }

  void answer(String key, MessageLite message) {
    content.put(key, Base64.getEncoder().encodeToString(message.toByteArray()));
  }

  void health(Health health) {
    content.put("health", health.name().toLowerCase(Locale.ROOT));
  }

  void elapsed(Duration time) {
    content.put("elapsed_seconds", time.toNanos() / 1e9);
  }

  void cancelled() {
    content.put("cancelled", true);
  }

  /** Saves the embeddings that came, in their order, where the case says so. */
  void saveEmbeddings() throws IOException {
    if (given.keys().has("save_file")) {
      results.sort(Comparator.comparingInt(EmbeddingResult::getIndex));
      save(EmbeddingFile.of(results));
    }
  }

  void save(EmbeddingFile file) throws IOException {
    if (given.keys().has("save_file")) {
      file.write(given.path("save_file"));
    }
  }

  void fail(RuntimeException error) {
    content.put("error", error(error));
  }

  private static Map<String, Object> error(RuntimeException error) {
    if (error instanceof RpcException rpc) {
      return fields(
          "kind", "rpc",
          "code", rpc.code().name(),
          "reason", rpc.reason(),
          "metadata", rpc.metadata(),
          "violations",
              rpc.fieldViolations().stream()
                  .map(each -> List.of(each.field(), each.description()))
                  .toList(),
          "retry_delay_seconds",
              rpc.retryDelay()
                  .map(delay -> delay.getSeconds() + delay.getNano() / 1e9)
                  .orElse(null),
          "request_id", rpc.requestId());
    }
    if (error instanceof IncompleteStreamException) {
      return fields("kind", "incomplete_stream");
    }
    return fields("kind", error instanceof EmbeddingFileException ? "embedding_file" : "argument");
  }

  private static Map<String, Object> queued(Queued queued) {
    return fields(
        "position", queued.getPosition(),
        "request_id", queued.getRequestId(),
        "seed", queued.getSeed(),
        "trajectory_count", queued.getTrajectoryCount());
  }

  private static List<Object> progress(Progress progress) {
    return List.of(
        progress.getStage(), progress.getIndex(), progress.getStep(), progress.getStepCount());
  }

  private static Map<String, Object> preview(Preview preview) {
    return fields(
        "index", preview.getIndex(),
        "step", preview.getStep(),
        "step_count", preview.getStepCount(),
        "format", preview.getFormatValue(),
        "sha256", sha256(preview.getData()));
  }

  private static Map<String, Object> image(ImageResult image) {
    return fields(
        "index", image.getIndex(),
        "source_index", image.getSourceIndex(),
        "format", image.getFormatValue(),
        "width_px", image.getWidthPx(),
        "height_px", image.getHeightPx(),
        "size_bytes", image.getData().size(),
        "sha256", sha256(image.getData()),
        "seed", image.getReceipt().getSeed());
  }

  private static Map<String, Object> embedding(EmbeddingResult result) {
    EmbeddingPair pair = result.getEmbeddings();
    float[] positive = Embeddings.floats(pair.getPositive());
    return fields(
        "index", result.getIndex(),
        "source_index", result.getSourceIndex(),
        "fingerprint", pair.getPositive().getPriorFingerprint(),
        "width", positive.length,
        "positive_sha256", floatsSha256(pair.getPositive()),
        "negative_sha256", pair.hasNegative() ? floatsSha256(pair.getNegative()) : null,
        "first", Float.isFinite(positive[0]) ? (double) positive[0] : null);
  }

  private static Map<String, Object> completed(Completed completed) {
    return fields(
        "embedding_count", completed.getEmbeddingCount(),
        "image_count", completed.getImageCount(),
        "step_count", completed.getStepCount(),
        "seed", completed.getSeed(),
        "warnings", List.copyOf(completed.getWarningsList()));
  }

  private static String floatsSha256(Embedding embedding) {
    float[] values = Embeddings.floats(embedding);
    ByteBuffer data =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    data.asFloatBuffer().put(values);
    return sha256(ByteString.copyFrom(data));
  }

  private static String sha256(ByteString data) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(data.asReadOnlyByteBuffer());
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e); // every Java has it
    }
  }

  /** Makes an object of names and values by turns; unlike Map.of it takes null. */
  private static Map<String, Object> fields(Object... namesAndValues) {
    Map<String, Object> fields = new LinkedHashMap<>();
    for (int place = 0; place < namesAndValues.length; place += 2) {
      fields.put((String) namesAndValues[place], namesAndValues[place + 1]);
    }
    return fields;
  }

  private void append(String key, Object value) {
    @SuppressWarnings("unchecked") // every list of the content is made here
    List<Object> list = (List<Object>) content.computeIfAbsent(key, name -> new ArrayList<>());
    list.add(value);
  }
}
