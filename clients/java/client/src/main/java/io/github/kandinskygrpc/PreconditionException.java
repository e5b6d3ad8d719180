package io.github.kandinskygrpc;

/** FAILED_PRECONDITION: the request is sound, but not for this server. */
public sealed class PreconditionException extends RpcException
    permits FingerprintMismatchException, StageNotLoadedException {
  private static final long serialVersionUID = 1L;

  PreconditionException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
