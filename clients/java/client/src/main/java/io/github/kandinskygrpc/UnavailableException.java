package io.github.kandinskygrpc;

/** UNAVAILABLE: the server cannot be reached, went away, or is draining. */
public sealed class UnavailableException extends RpcException
    permits UnreachableException, TlsException {
  private static final long serialVersionUID = 1L;

  UnavailableException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
