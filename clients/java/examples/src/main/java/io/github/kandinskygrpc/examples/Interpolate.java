package io.github.kandinskygrpc.examples;

import io.github.kandinskygrpc.KandinskyClient;
import io.github.kandinskygrpc.api.v1.Condition;
import io.github.kandinskygrpc.api.v1.DecodeRequest;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.ImageResult;
import io.github.kandinskygrpc.api.v1.InterpolateRequest;
import io.github.kandinskygrpc.api.v1.PriorSampling;
import io.github.kandinskygrpc.api.v1.Sampling;
import io.github.kandinskygrpc.api.v1.Weights;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Goes from one prompt to another in five steps, and makes a picture of each. */
public final class Interpolate {
  private static final int STEPS = 5;

  private Interpolate() {}

  /** Runs the example. */
  public static void main(String[] arguments) throws IOException {
    String target = System.getenv().getOrDefault("KANDINSKY_TARGET", "localhost:50051");
    InterpolateRequest.Builder path =
        InterpolateRequest.newBuilder()
            .addConditions(Condition.newBuilder().setText("a red cube"))
            .addConditions(Condition.newBuilder().setText("a blue ball"))
            .setSampling(PriorSampling.newBuilder().setSeed(7));
    for (int step = 0; step < STEPS; step++) {
      double share = step / (STEPS - 1.0);
      path.addWeights(Weights.newBuilder().addValues(1 - share).addValues(share));
    }
    try (KandinskyClient client = KandinskyClient.builder(target).build()) {
      for (EmbeddingResult embedding : client.interpolate(path.build())) {
        DecodeRequest request =
            DecodeRequest.newBuilder()
                .addEmbeddings(embedding.getEmbeddings())
                .setSampling(
                    Sampling.newBuilder()
                        .setSeed(7)
                        .setWidthPx(64)
                        .setHeightPx(64)
                        .setStepCount(10))
                .build();
        ImageResult image = client.decode(request).results().get(0);
        Path file = Path.of("path-" + (embedding.getIndex() + 1) + ".png");
        Files.write(file, image.getData().toByteArray());
      }
    }
  }
}
