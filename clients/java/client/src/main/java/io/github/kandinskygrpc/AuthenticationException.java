package io.github.kandinskygrpc;

/** UNAUTHENTICATED: the token is missing or wrong. */
public final class AuthenticationException extends RpcException {
  private static final long serialVersionUID = 1L;

  AuthenticationException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
