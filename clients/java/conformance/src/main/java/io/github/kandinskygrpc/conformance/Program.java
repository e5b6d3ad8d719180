package io.github.kandinskygrpc.conformance;

import com.google.gson.JsonParser;
import com.google.protobuf.Message;
import io.github.kandinskygrpc.CallCancelledException;
import io.github.kandinskygrpc.EmbeddingFile;
import io.github.kandinskygrpc.EventStream;
import io.github.kandinskygrpc.KandinskyClient;
import io.github.kandinskygrpc.KandinskyException;
import io.github.kandinskygrpc.api.v1.EstimateRequest;
import io.github.kandinskygrpc.api.v1.Event;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/** Reads a case a line from standard input, and writes a report a line to standard output. */
public final class Program {
  private Program() {}

  /** Carries out cases until the input ends. */
  public static void main(String[] arguments) throws Exception {
    BufferedReader input =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      Case given = new Case(JsonParser.parseString(line).getAsJsonObject());
      Report report = new Report(given);
      try {
        carryOut(given, report);
      } catch (KandinskyException | IllegalArgumentException e) {
        report.fail(e);
      }
      output.println(report.json());
    }
  }

  private static void carryOut(Case given, Report report) throws Exception {
    switch (given.call()) {
      case "embedding_file" -> report.save(EmbeddingFile.read(given.path("embeddings_file")));
      case "round_trip" -> report.answer("message", roundTrip(given));
      default -> {
        try (KandinskyClient client = given.client()) {
          long began = System.nanoTime();
          try {
            call(client, given, report);
          } finally {
            report.elapsed(Duration.ofNanos(System.nanoTime() - began));
            sleep(given.seconds("linger_seconds"));
          }
        }
      }
    }
  }

  private static Message roundTrip(Case given) throws ReflectiveOperationException, IOException {
    Class<?> type =
        Class.forName("io.github.kandinskygrpc.api.v1." + given.text("type").orElseThrow());
    Message empty = (Message) type.getMethod("getDefaultInstance").invoke(null);
    return empty.getParserForType().parseFrom(given.bytes("message"));
  }

  private static void call(KandinskyClient client, Case given, Report report) throws IOException {
    switch (given.call()) {
      case "info" -> report.answer("info", client.info());
      case "estimate" ->
          report.answer(
              "estimate", client.estimate(EstimateRequest.parseFrom(given.bytes("request"))));
      case "health" -> report.health(client.health(given.text("service").orElse("")));
      default -> stream(client, given, report);
    }
  }

  private static void stream(KandinskyClient client, Case given, Report report) throws IOException {
    AtomicBoolean cancelling = new AtomicBoolean();
    try (EventStream events = given.events(client)) {
      Runnable close = events::close;
      Runnable cancel =
          () -> {
            cancelling.set(true);
            close.run();
          };
      given
          .seconds("cancel_after_seconds")
          .map(delay -> CompletableFuture.delayedExecutor(delay.toNanos(), TimeUnit.NANOSECONDS))
          .ifPresent(later -> later.execute(cancel));
      for (Event event : events) {
        if (report.add(event)) {
          cancel.run();
        }
      }
    } catch (CallCancelledException e) {
      if (!cancelling.get()) {
        throw e;
      }
      report.cancelled();
    }
    report.saveEmbeddings();
  }

  private static void sleep(Optional<Duration> time) throws InterruptedException {
    TimeUnit.NANOSECONDS.sleep(time.orElse(Duration.ZERO).toNanos());
  }
}
