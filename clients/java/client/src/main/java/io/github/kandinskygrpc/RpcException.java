package io.github.kandinskygrpc;

import io.github.kandinskygrpc.api.v1.ErrorReason;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The server, or the way to it, answered with a status other than OK. */
public abstract sealed class RpcException extends KandinskyException
    permits InvalidRequestException,
        PreconditionException,
        OverloadedException,
        UnavailableException,
        DeadlineExceededException,
        CallCancelledException,
        AuthenticationException,
        AuthorizationException,
        ServerException {
  private static final long serialVersionUID = 1L;
  private static final String REASON_PREFIX = "ERROR_REASON_";

  private final RpcError error;

  RpcException(RpcError error, Throwable cause) {
    super(text(error), cause);
    this.error = error;
  }

  /** Returns the canonical code. */
  public Status.Code code() {
    return error.code();
  }

  /**
   * Returns the server's sentence alone; {@link #getMessage} also has code, reason and request id.
   */
  public String description() {
    return error.message();
  }

  /**
   * Returns the reason's name, such as {@code QUEUE_FULL}; empty where gRPC itself made the status.
   */
  public String reason() {
    return error.reason();
  }

  /**
   * Returns the reason as the contract's value: ERROR_REASON_UNSPECIFIED where there is none, and
   * UNRECOGNIZED for one that is newer than this client.
   */
  public ErrorReason errorReason() {
    if (reason().isEmpty()) {
      return ErrorReason.ERROR_REASON_UNSPECIFIED;
    }
    try {
      return ErrorReason.valueOf(REASON_PREFIX + reason());
    } catch (IllegalArgumentException newer) {
      return ErrorReason.UNRECOGNIZED;
    }
  }

  /**
   * Returns the limits and values that the message speaks of, by the names that the contract gives
   * at each reason, such as {@code queue_size}.
   */
  public Map<String, String> metadata() {
    return error.metadata();
  }

  /** Returns the fields to change, for INVALID_ARGUMENT. */
  public List<FieldViolation> fieldViolations() {
    return error.fieldViolations();
  }

  /** Returns how long to wait before another try, where the server advises it. */
  public Optional<Duration> retryDelay() {
    return Optional.ofNullable(error.retryDelay());
  }

  /** Returns what the server's log knows the request by; empty when the request never got there. */
  public String requestId() {
    return error.requestId();
  }

  private static String text(RpcError error) {
    String reason = error.reason().isEmpty() ? "" : " (" + error.reason() + ")";
    String request = error.requestId().isEmpty() ? "" : " | request " + error.requestId();
    return error.code() + reason + ": " + error.message() + request;
  }
}
