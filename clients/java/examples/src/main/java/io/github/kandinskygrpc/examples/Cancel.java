package io.github.kandinskygrpc.examples;

import io.github.kandinskygrpc.EventStream;
import io.github.kandinskygrpc.KandinskyClient;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.GenerateRequest;
import io.github.kandinskygrpc.api.v1.RequestOptions;
import io.github.kandinskygrpc.api.v1.Sampling;

/** Stops a call at its first preview; the server frees its place within a step. */
public final class Cancel {
  private Cancel() {}

  /** Runs the example. */
  public static void main(String[] arguments) {
    String target = System.getenv().getOrDefault("KANDINSKY_TARGET", "localhost:50051");
    GenerateRequest request =
        GenerateRequest.newBuilder()
            .addPrompts("a green ball")
            .setSampling(Sampling.newBuilder().setSeed(7).setStepCount(100))
            .setOptions(RequestOptions.newBuilder().setPreviewIntervalSteps(3))
            .build();
    try (KandinskyClient client = KandinskyClient.builder(target).build()) {
      int step = 0;
      try (EventStream events = client.stream().generate(request)) {
        for (Event event : events) {
          if (event.hasPreview()) {
            step = event.getPreview().getStep();
            break;
          }
        }
      } // leaving the block closes the stream, which cancels the call
      System.out.println("cancelled after step " + step);
    }
  }
}
