package io.github.kandinskygrpc.examples;

import com.google.protobuf.ByteString;
import io.github.kandinskygrpc.EmbeddingSet;
import io.github.kandinskygrpc.ImageSet;
import io.github.kandinskygrpc.KandinskyClient;
import io.github.kandinskygrpc.api.v1.InpaintRequest;
import io.github.kandinskygrpc.api.v1.InputImage;
import io.github.kandinskygrpc.api.v1.PriorRequest;
import io.github.kandinskygrpc.api.v1.PriorSampling;
import io.github.kandinskygrpc.api.v1.Sampling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Repaints the white part of a mask; its arguments are the files of the picture and the mask. */
public final class Inpaint {
  private Inpaint() {}

  /** Runs the example. */
  public static void main(String[] arguments) throws IOException {
    String target = System.getenv().getOrDefault("KANDINSKY_TARGET", "localhost:50051");
    try (KandinskyClient client = KandinskyClient.builder(target).build()) {
      EmbeddingSet star =
          client.prior(
              PriorRequest.newBuilder()
                  .addPrompts("a yellow star")
                  .setSampling(PriorSampling.newBuilder().setSeed(7))
                  .build());
      ImageSet images =
          client.inpaint(
              InpaintRequest.newBuilder()
                  .addAllEmbeddings(star.pairs())
                  .setImage(image(arguments[0]))
                  .setMask(image(arguments[1]))
                  .setSampling(
                      Sampling.newBuilder()
                          .setSeed(7)
                          .setWidthPx(64)
                          .setHeightPx(64)
                          .setStepCount(10))
                  .build());
      Files.write(Path.of("inpainted.png"), images.results().get(0).getData().toByteArray());
      images
          .completed()
          .getWarningsList()
          .forEach(warning -> System.out.println("warning: " + warning));
    }
  }

  private static InputImage image(String file) throws IOException {
    ByteString bytes = ByteString.copyFrom(Files.readAllBytes(Path.of(file)));
    return InputImage.newBuilder().setData(bytes).build();
  }
}
