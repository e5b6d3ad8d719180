package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KandinskyClientBuilderTest {
  private final KandinskyClientBuilder builder = KandinskyClient.builder("localhost:50051");

  @ParameterizedTest
  @ValueSource(strings = {"http://localhost:50051", "https://localhost"})
  void refusesUrls(String target) {
    assertRefused(() -> KandinskyClient.builder(target), "target");
  }

  @ParameterizedTest
  @ValueSource(strings = {"PT0S", "PT-1S"})
  void refusesTimeoutsThatHavePassed(String timeout) {
    assertRefused(() -> builder.timeout(Duration.parse(timeout)), "timeout must be above 0");
    try (KandinskyClient client = builder.build()) {
      assertRefused(() -> client.withTimeout(Duration.parse(timeout)), "timeout");
    }
  }

  @Test
  void takesForeverForNoLimit() {
    assertTrue(Timeouts.checked(ChronoUnit.FOREVER.getDuration()).isEmpty());
    assertTrue(Timeouts.checked(Duration.ofDays(365)).isPresent());
  }

  @Test
  void refusesRetriesBelowZero() {
    assertRefused(() -> builder.retries(-1), "retries");
  }

  @Test
  void refusesTokensAndMetadataThatCannotBeSent() {
    assertRefused(() -> builder.token("secret\n"), "white space");
    assertRefused(() -> builder.token("sécret"), "printable ASCII");
    assertRefused(() -> builder.metadata(metadata("x-team", "a\nb")), "x-team");
    assertRefused(() -> builder.metadata(metadata("grpc-timeout", "1S")), "grpc-");
  }

  @Test
  void refusesCertificatesThatAreNone() throws IOException {
    ByteArrayInputStream garbage =
        new ByteArrayInputStream("no certificate".getBytes(StandardCharsets.UTF_8));
    builder.credentials(TlsChannelCredentials.newBuilder().trustManager(garbage).build());
    assertRefused(builder::build, "credentials");
  }

  private static Metadata metadata(String key, String value) {
    Metadata metadata = new Metadata();
    metadata.put(Metadata.Key.of(key, Metadata.ASCII_STRING_MARSHALLER), value);
    return metadata;
  }

  private static void assertRefused(Executable executable, String message) {
    IllegalArgumentException error = assertThrows(IllegalArgumentException.class, executable);
    assertTrue(error.getMessage().contains(message), error.getMessage());
  }
}
