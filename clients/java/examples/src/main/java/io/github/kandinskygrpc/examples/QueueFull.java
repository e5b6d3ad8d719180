package io.github.kandinskygrpc.examples;

import io.github.kandinskygrpc.Embeddings;
import io.github.kandinskygrpc.KandinskyClient;
import io.github.kandinskygrpc.OverloadedException;
import io.github.kandinskygrpc.api.v1.DecodeRequest;
import io.github.kandinskygrpc.api.v1.EmbeddingPair;
import io.github.kandinskygrpc.api.v1.Sampling;
import java.time.Duration;
import java.util.Arrays;

/** Learns from a server that is full how full it is, and when to come again. */
public final class QueueFull {
  private static final int WIDTH = 1280;

  private QueueFull() {}

  /** Runs the example. */
  public static void main(String[] arguments) {
    String target = System.getenv().getOrDefault("KANDINSKY_TARGET", "localhost:50051");
    float[] values = new float[WIDTH];
    Arrays.fill(values, 0.1f);
    DecodeRequest request =
        DecodeRequest.newBuilder()
            .addEmbeddings(EmbeddingPair.newBuilder().setPositive(Embeddings.of(values, "")))
            .setSampling(Sampling.newBuilder().setSeed(1).setGuidanceScale(1))
            .build();
    try (KandinskyClient client = KandinskyClient.builder(target).retries(0).build()) {
      client.decode(request);
    } catch (OverloadedException e) {
      double seconds = e.retryDelay().orElse(Duration.ZERO).toMillis() / 1000.0;
      System.out.printf("the queue is full: try again in %.1f s%n", seconds);
      System.out.println("it holds " + e.metadata().get("queue_size") + " at the most");
    }
  }
}
