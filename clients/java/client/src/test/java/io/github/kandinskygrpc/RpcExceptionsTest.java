package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;
import io.github.kandinskygrpc.api.v1.ErrorReason;
import io.github.kandinskygrpc.api.v1.PriorRequest;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RpcExceptionsTest {
  private static final Metadata.Key<String> REQUEST_ID =
      Metadata.Key.of("x-request-id", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);
  private static final String DOMAIN = "kandinsky-grpc.github.io";

  @ParameterizedTest
  @CsvSource({
    "INVALID_ARGUMENT, INVALID_FIELD, InvalidRequestException",
    "FAILED_PRECONDITION, '', PreconditionException",
    "FAILED_PRECONDITION, FINGERPRINT_MISMATCH, FingerprintMismatchException",
    "FAILED_PRECONDITION, STAGE_NOT_LOADED, StageNotLoadedException",
    "RESOURCE_EXHAUSTED, QUEUE_FULL, OverloadedException",
    "RESOURCE_EXHAUSTED, DEADLINE_UNREACHABLE, DeadlineUnreachableException",
    "UNAVAILABLE, DRAINING, UnavailableException",
    "DEADLINE_EXCEEDED, '', DeadlineExceededException",
    "CANCELLED, '', CallCancelledException",
    "UNAUTHENTICATED, UNAUTHENTICATED, AuthenticationException",
    "PERMISSION_DENIED, PERMISSION_DENIED, AuthorizationException",
    "INTERNAL, NON_FINITE, ServerException",
    "NOT_FOUND, '', ServerException",
  })
  void hasAClassForEachCode(Status.Code code, String reason, String name) {
    RpcException error = read(code, Any.pack(info(reason, DOMAIN)));
    assertEquals(name, error.getClass().getSimpleName());
    assertEquals(code, error.code());
    assertEquals(reason, error.reason());
    assertEquals("no", error.description());
  }

  @Test
  void readsAllDetails() {
    BadRequest violations =
        BadRequest.newBuilder()
            .addFieldViolations(
                BadRequest.FieldViolation.newBuilder().setField("prompts").setDescription("none"))
            .build();
    RetryInfo retry =
        RetryInfo.newBuilder()
            .setRetryDelay(com.google.protobuf.Duration.newBuilder().setSeconds(1).setNanos(5))
            .build();
    RpcException error =
        read(
            Status.Code.RESOURCE_EXHAUSTED,
            Any.pack(info("QUEUE_FULL", DOMAIN)),
            Any.pack(violations),
            Any.pack(retry),
            Any.pack(RequestInfo.newBuilder().setRequestId("r1").build()));
    assertEquals(ErrorReason.ERROR_REASON_QUEUE_FULL, error.errorReason());
    assertEquals(Map.of("queue_size", "256"), error.metadata());
    assertEquals(List.of(new FieldViolation("prompts", "none")), error.fieldViolations());
    assertEquals(Optional.of(Duration.ofSeconds(1, 5)), error.retryDelay());
    assertEquals("r1", error.requestId());
    assertEquals("RESOURCE_EXHAUSTED (QUEUE_FULL): no | request r1", error.getMessage());
  }

  @Test
  void passesOverReasonsOfOtherDomainsAndNewerOnes() {
    assertEquals("", read(Status.Code.INTERNAL, Any.pack(info("X", "other.org"))).reason());
    RpcException newer = read(Status.Code.INTERNAL, Any.pack(info("NEWER", DOMAIN)));
    assertEquals("NEWER", newer.reason());
    assertEquals(ErrorReason.UNRECOGNIZED, newer.errorReason());
    assertEquals(ErrorReason.ERROR_REASON_UNSPECIFIED, read(Status.Code.INTERNAL).errorReason());
  }

  @Test
  void takesDetailsThatAreCutOffForNone() {
    byte[] whole =
        com.google.rpc.Status.newBuilder()
            .setCode(Status.Code.INTERNAL.value())
            .setMessage("no")
            .addDetails(Any.pack(info("NON_FINITE", DOMAIN)))
            .build()
            .toByteArray();
    for (int kept = 0; kept < whole.length; kept++) {
      Metadata trailers = new Metadata();
      trailers.put(DETAILS, ByteString.copyFrom(whole, 0, kept).toByteArray());
      RpcException error =
          RpcExceptions.of(Status.INTERNAL.withDescription("no"), new Metadata(), trailers);
      assertEquals("INTERNAL: no", error.getMessage());
    }
  }

  @Test
  void passesOverADetailThatCannotBeRead() {
    Any broken =
        Any.pack(info("X", DOMAIN)).toBuilder().setValue(ByteString.copyFromUtf8("\7")).build();
    assertEquals("", read(Status.Code.INTERNAL, broken).reason());
  }

  @Test
  void findsTheRequestIdInEitherMetadata() {
    Metadata one = new Metadata();
    one.put(REQUEST_ID, "r1");
    Metadata other = new Metadata();
    assertEquals("r1", RpcExceptions.of(Status.ABORTED, one, other).requestId());
    other.put(REQUEST_ID, "r2");
    assertEquals("r2", RpcExceptions.of(Status.ABORTED, one, other).requestId());
  }

  @Test
  void survivesSerialization() throws IOException, ClassNotFoundException {
    RpcException error = read(Status.Code.INTERNAL, Any.pack(info("NON_FINITE", DOMAIN)));
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream output = new ObjectOutputStream(bytes)) {
      output.writeObject(error);
    }
    try (ObjectInputStream input =
        new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
      assertEquals(error.metadata(), ((RpcException) input.readObject()).metadata());
    }
  }

  @Test
  void tellsThatNobodyIsThere() throws IOException {
    KandinskyClientBuilder builder;
    try (FakeServer server = new FakeServer()) {
      builder = server.client().retries(0);
    }
    try (KandinskyClient client = builder.build()) {
      UnreachableException error = assertThrows(UnreachableException.class, client::info);
      assertTrue(error.description().contains("Connection refused"), error.description());
    }
  }

  @Test
  void tellsThatTheServerDoesNotSpeakTls() throws IOException {
    try (FakeServer server = new FakeServer();
        KandinskyClient client = server.client().tls().build()) {
      PriorRequest request = PriorRequest.getDefaultInstance();
      assertThrows(TlsException.class, () -> client.prior(request));
    }
  }

  private static RpcException read(Status.Code code, Any... details) {
    StatusRuntimeException thrown =
        StatusProto.toStatusRuntimeException(
            com.google.rpc.Status.newBuilder()
                .setCode(code.value())
                .setMessage("no")
                .addAllDetails(List.of(details))
                .build());
    return RpcExceptions.of(thrown.getStatus(), new Metadata(), thrown.getTrailers());
  }

  private static ErrorInfo info(String reason, String domain) {
    return ErrorInfo.newBuilder()
        .setReason(reason)
        .setDomain(domain)
        .putMetadata("queue_size", "256")
        .build();
  }
}
