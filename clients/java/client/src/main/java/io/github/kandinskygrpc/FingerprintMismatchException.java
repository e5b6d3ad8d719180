package io.github.kandinskygrpc;

/** The embedding was made by another prior than the decoder's. */
public final class FingerprintMismatchException extends PreconditionException {
  private static final long serialVersionUID = 1L;

  FingerprintMismatchException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
