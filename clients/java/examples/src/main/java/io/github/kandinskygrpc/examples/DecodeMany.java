package io.github.kandinskygrpc.examples;

import io.github.kandinskygrpc.EmbeddingFile;
import io.github.kandinskygrpc.KandinskyClient;
import io.github.kandinskygrpc.api.v1.DecodeRequest;
import io.github.kandinskygrpc.api.v1.ImageResult;
import io.github.kandinskygrpc.api.v1.PriorRequest;
import io.github.kandinskygrpc.api.v1.PriorSampling;
import io.github.kandinskygrpc.api.v1.Sampling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Makes an embedding once, keeps it in a file, and makes four pictures from that file. */
public final class DecodeMany {
  private DecodeMany() {}

  /** Runs the example. */
  public static void main(String[] arguments) throws IOException {
    String target = System.getenv().getOrDefault("KANDINSKY_TARGET", "localhost:50051");
    Path file = Path.of("embedding.safetensors");
    try (KandinskyClient client = KandinskyClient.builder(target).build()) {
      PriorRequest prior =
          PriorRequest.newBuilder()
              .addPrompts("a red cube on a blue table")
              .setSampling(PriorSampling.newBuilder().setSeed(7))
              .build();
      client.prior(prior).save(file);

      EmbeddingFile kept = EmbeddingFile.read(file);
      for (int seed = 1; seed <= 4; seed++) {
        Sampling sampling =
            Sampling.newBuilder()
                .setSeed(seed)
                .setWidthPx(64)
                .setHeightPx(64)
                .setStepCount(10)
                .build();
        DecodeRequest decode =
            DecodeRequest.newBuilder().addAllEmbeddings(kept.pairs()).setSampling(sampling).build();
        ImageResult image = client.decode(decode).results().get(0);
        Path picture = Path.of("decoded-" + seed + ".png");
        Files.write(picture, image.getData().toByteArray());
        System.out.printf(
            "%s: %dx%d, seed %d%n",
            picture, image.getWidthPx(), image.getHeightPx(), image.getReceipt().getSeed());
      }
    }
  }
}
