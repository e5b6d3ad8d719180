package io.github.kandinskygrpc;

import io.grpc.Status;
import java.io.Serializable;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * What a status other than OK, its details and its metadata say.
 *
 * @param retryDelay null where no RetryInfo came
 */
record RpcError(
    Status.Code code,
    String message,
    String reason,
    Map<String, String> metadata,
    List<FieldViolation> fieldViolations,
    Duration retryDelay,
    String requestId)
    implements Serializable {
  /** Returns an error that this client makes itself. */
  static RpcError of(Status.Code code, String message) {
    return new RpcError(code, message, "", Map.of(), List.of(), null, "");
  }
}
