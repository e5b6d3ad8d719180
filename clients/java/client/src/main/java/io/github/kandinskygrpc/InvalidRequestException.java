package io.github.kandinskygrpc;

/** INVALID_ARGUMENT: change the request; {@link #fieldViolations} says what. */
public final class InvalidRequestException extends RpcException {
  private static final long serialVersionUID = 1L;

  InvalidRequestException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
