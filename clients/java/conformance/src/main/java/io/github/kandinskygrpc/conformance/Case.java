package io.github.kandinskygrpc.conformance;

import com.google.gson.JsonObject;
import io.github.kandinskygrpc.EmbeddingFile;
import io.github.kandinskygrpc.EventStream;
import io.github.kandinskygrpc.KandinskyClient;
import io.github.kandinskygrpc.KandinskyClientBuilder;
import io.github.kandinskygrpc.api.v1.ControlNetRequest;
import io.github.kandinskygrpc.api.v1.DecodeRequest;
import io.github.kandinskygrpc.api.v1.EmbeddingPair;
import io.github.kandinskygrpc.api.v1.GenerateRequest;
import io.github.kandinskygrpc.api.v1.Img2ImgRequest;
import io.github.kandinskygrpc.api.v1.InpaintRequest;
import io.github.kandinskygrpc.api.v1.InterpolateRequest;
import io.github.kandinskygrpc.api.v1.PriorRequest;
import io.grpc.ChannelCredentials;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.Base64;
import java.util.List;
import java.util.Optional;

/** One case: its keys, and the client and call that they describe. */
record Case(JsonObject keys) {
  Optional<String> text(String key) {
    return Optional.ofNullable(keys.get(key)).map(value -> value.getAsString());
  }

  Optional<Duration> seconds(String key) {
    return text(key)
        .map(
            value ->
                value.equals("inf")
                    ? ChronoUnit.FOREVER.getDuration()
                    : Duration.ofNanos((long) (Double.parseDouble(value) * 1e9)));
  }

  byte[] bytes(String key) {
    return Base64.getDecoder().decode(text(key).orElse(""));
  }

  Path path(String key) {
    return Path.of(text(key).orElseThrow());
  }

  String call() {
    return text("call").orElseThrow();
  }

  KandinskyClient client() throws IOException {
    KandinskyClientBuilder builder = KandinskyClient.builder(text("target").orElseThrow());
    seconds("timeout_seconds").ifPresent(builder::timeout);
    text("retries").map(Integer::valueOf).ifPresent(builder::retries);
    text("token").ifPresent(builder::token);
    if (keys.has("metadata")) {
      builder.metadata(metadata(keys.getAsJsonObject("metadata")));
    }
    if (keys.has("tls")) {
      builder.credentials(credentials(keys.getAsJsonObject("tls")));
    }
    return builder.build();
  }

  EventStream events(KandinskyClient client) throws IOException {
    byte[] request = bytes("request");
    return switch (call()) {
      case "prior" -> client.stream().prior(PriorRequest.parseFrom(request));
      case "interpolate" -> client.stream().interpolate(InterpolateRequest.parseFrom(request));
      case "embed_image" -> client.stream().embedImage(bytes("image"));
      case "decode" ->
          client.stream()
              .decode(
                  DecodeRequest.parseFrom(request).toBuilder().addAllEmbeddings(pairs()).build());
      case "img2img" ->
          client.stream()
              .img2Img(
                  Img2ImgRequest.parseFrom(request).toBuilder().addAllEmbeddings(pairs()).build());
      case "inpaint" ->
          client.stream()
              .inpaint(
                  InpaintRequest.parseFrom(request).toBuilder().addAllEmbeddings(pairs()).build());
      case "controlnet" ->
          client.stream()
              .controlNet(
                  ControlNetRequest.parseFrom(request).toBuilder()
                      .addAllEmbeddings(pairs())
                      .build());
      case "generate" -> client.stream().generate(GenerateRequest.parseFrom(request));
      default -> throw new IllegalStateException("no such call: " + call());
    };
  }

  private List<EmbeddingPair> pairs() throws IOException {
    return keys.has("embeddings_file")
        ? EmbeddingFile.read(path("embeddings_file")).pairs()
        : List.of();
  }

  private static Metadata metadata(JsonObject values) {
    Metadata metadata = new Metadata();
    values
        .entrySet()
        .forEach(
            entry ->
                metadata.put(
                    Metadata.Key.of(entry.getKey(), Metadata.ASCII_STRING_MARSHALLER),
                    entry.getValue().getAsString()));
    return metadata;
  }

  private static ChannelCredentials credentials(JsonObject files) throws IOException {
    TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
    if (files.has("ca")) {
      builder.trustManager(new File(files.get("ca").getAsString()));
    }
    if (files.has("certificate") != files.has("key")) {
      throw new IllegalArgumentException("the API takes a certificate and its key together");
    }
    if (files.has("certificate")) {
      builder.keyManager(
          new File(files.get("certificate").getAsString()),
          new File(files.get("key").getAsString()));
    }
    return builder.build();
  }
}
