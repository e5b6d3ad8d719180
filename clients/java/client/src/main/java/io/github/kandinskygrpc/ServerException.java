package io.github.kandinskygrpc;

/** Any other code: INTERNAL, UNIMPLEMENTED, NOT_FOUND and so on. */
public final class ServerException extends RpcException {
  private static final long serialVersionUID = 1L;

  ServerException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
