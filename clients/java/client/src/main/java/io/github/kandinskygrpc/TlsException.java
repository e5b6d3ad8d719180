package io.github.kandinskygrpc;

/** Both ends do not agree on encryption, or on whom to trust; trying again cannot help. */
public final class TlsException extends UnavailableException {
  private static final long serialVersionUID = 1L;

  TlsException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
