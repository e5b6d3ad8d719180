package io.github.kandinskygrpc.examples;

import io.github.kandinskygrpc.EventStream;
import io.github.kandinskygrpc.KandinskyClient;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.GenerateRequest;
import io.github.kandinskygrpc.api.v1.Preview;
import io.github.kandinskygrpc.api.v1.Progress;
import io.github.kandinskygrpc.api.v1.RequestOptions;
import io.github.kandinskygrpc.api.v1.Sampling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Watches a picture being made: progress, previews, and the picture itself. */
public final class Previews {
  private Previews() {}

  /** Runs the example. */
  public static void main(String[] arguments) throws IOException {
    String target = System.getenv().getOrDefault("KANDINSKY_TARGET", "localhost:50051");
    GenerateRequest request =
        GenerateRequest.newBuilder()
            .addPrompts("a green ball")
            .setSampling(
                Sampling.newBuilder().setSeed(7).setWidthPx(64).setHeightPx(64).setStepCount(10))
            .setOptions(RequestOptions.newBuilder().setPreviewIntervalSteps(3))
            .build();
    try (KandinskyClient client = KandinskyClient.builder(target).build();
        EventStream events = client.stream().generate(request)) {
      for (Event event : events) {
        switch (event.getKindCase()) {
          case PROGRESS -> {
            Progress progress = event.getProgress();
            System.out.printf(
                "%s: step %d of %d%n",
                progress.getStage(), progress.getStep(), progress.getStepCount());
          }
          case PREVIEW -> {
            Preview preview = event.getPreview();
            Path file = Path.of("preview-" + preview.getStep() + ".jpg");
            Files.write(file, preview.getData().toByteArray());
          }
          case IMAGE ->
              Files.write(Path.of("generated.png"), event.getImage().getData().toByteArray());
          default -> {}
        }
      }
    }
  }
}
