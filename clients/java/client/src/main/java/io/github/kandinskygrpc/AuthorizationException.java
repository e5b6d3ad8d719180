package io.github.kandinskygrpc;

/** PERMISSION_DENIED: the token is known, but not for this. */
public final class AuthorizationException extends RpcException {
  private static final long serialVersionUID = 1L;

  AuthorizationException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
