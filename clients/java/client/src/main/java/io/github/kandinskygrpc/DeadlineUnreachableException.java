package io.github.kandinskygrpc;

/** The server knew on arrival that it could not finish within the timeout. */
public final class DeadlineUnreachableException extends OverloadedException {
  private static final long serialVersionUID = 1L;

  DeadlineUnreachableException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
