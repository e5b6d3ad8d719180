package io.github.kandinskygrpc;

import com.google.rpc.ErrorInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import java.net.SocketException;
import java.net.UnknownHostException;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import javax.net.ssl.SSLException;

/** From a status to the exception of its kind. */
final class RpcExceptions {
  private static final Metadata.Key<String> REQUEST_ID =
      Metadata.Key.of("x-request-id", Metadata.ASCII_STRING_MARSHALLER);

  private RpcExceptions() {}

  /**
   * Translates a status other than OK.
   *
   * @param headers the initial metadata; empty when none came
   */
  static RpcException of(Status status, Metadata headers, Metadata trailers) {
    StatusDetails details = new StatusDetails(status, trailers);
    ErrorInfo info = details.errorInfo();
    RpcError error =
        new RpcError(
            isLost(status, info.getReason()) ? Status.Code.UNAVAILABLE : status.getCode(),
            message(status),
            info.getReason(),
            Map.copyOf(info.getMetadataMap()),
            details.fieldViolations(),
            details.retryDelay().orElse(null),
            requestId(headers, trailers).or(details::requestId).orElse(""));
    return of(error, status.getCause());
  }

  /**
   * Whether a proxy lost the server and cut the stream off, or the server ended as the call came:
   * gRPC's servers then say CANCELLED. The statuses of this contract have reasons, and what was
   * cancelled here has other words.
   */
  private static boolean isLost(Status status, String reason) {
    if (!reason.isEmpty()) {
      return false;
    }
    boolean cut = message(status).contains("RST_STREAM");
    return switch (status.getCode()) {
      case CANCELLED -> cut || message(status).equals("CANCELLED");
      case INTERNAL -> cut;
      default -> false;
    };
  }

  /** Returns the error of a call that this side ended. */
  static CallCancelledException cancelled(String message, Throwable cause) {
    return new CallCancelledException(RpcError.of(Status.Code.CANCELLED, message), cause);
  }

  private static RpcException of(RpcError error, Throwable cause) {
    return switch (error.code()) {
      case INVALID_ARGUMENT -> new InvalidRequestException(error, cause);
      case FAILED_PRECONDITION -> precondition(error, cause);
      case RESOURCE_EXHAUSTED ->
          error.reason().equals("DEADLINE_UNREACHABLE")
              ? new DeadlineUnreachableException(error, cause)
              : new OverloadedException(error, cause);
      case UNAVAILABLE -> unavailable(error, cause);
      case DEADLINE_EXCEEDED -> new DeadlineExceededException(error, cause);
      case CANCELLED -> new CallCancelledException(error, cause);
      case UNAUTHENTICATED -> new AuthenticationException(error, cause);
      case PERMISSION_DENIED -> new AuthorizationException(error, cause);
      default -> new ServerException(error, cause);
    };
  }

  private static RpcException precondition(RpcError error, Throwable cause) {
    return switch (error.reason()) {
      case "FINGERPRINT_MISMATCH" -> new FingerprintMismatchException(error, cause);
      case "STAGE_NOT_LOADED" -> new StageNotLoadedException(error, cause);
      default -> new PreconditionException(error, cause);
    };
  }

  private static RpcException unavailable(RpcError error, Throwable cause) {
    if (causes(cause).anyMatch(SSLException.class::isInstance)) {
      return new TlsException(error, cause);
    }
    if (causes(cause).anyMatch(RpcExceptions::isUnreachable)) {
      return new UnreachableException(error, cause);
    }
    return new UnavailableException(error, cause);
  }

  private static boolean isUnreachable(Throwable cause) {
    // A SocketException itself is a connection that was there and broke.
    return cause instanceof UnknownHostException
        || (cause instanceof SocketException && cause.getClass() != SocketException.class);
  }

  private static Optional<String> requestId(Metadata headers, Metadata trailers) {
    return Stream.of(trailers, headers)
        .filter(each -> each.containsKey(REQUEST_ID))
        .map(each -> each.get(REQUEST_ID))
        .findFirst();
  }

  /** gRPC's own words for a broken connection are "io exception"; their last cause says more. */
  private static String message(Status status) {
    String description = Optional.ofNullable(status.getDescription()).orElse("no message");
    return causes(status.getCause())
        .reduce((first, second) -> second)
        .map(Throwable::getMessage)
        .filter(told -> !description.contains(told))
        .map(told -> description + ": " + told)
        .orElse(description);
  }

  private static Stream<Throwable> causes(Throwable first) {
    return Stream.iterate(first, each -> each != null, Throwable::getCause);
  }
}
