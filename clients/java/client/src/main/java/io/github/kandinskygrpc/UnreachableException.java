package io.github.kandinskygrpc;

/** Nobody answers at the target: no such host, nothing listens there, or no way leads to it. */
public final class UnreachableException extends UnavailableException {
  private static final long serialVersionUID = 1L;

  UnreachableException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
