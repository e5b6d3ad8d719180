package io.github.kandinskygrpc;

/**
 * CANCELLED: the call or its client was closed, its thread interrupted, or the server gave it up.
 */
public final class CallCancelledException extends RpcException {
  private static final long serialVersionUID = 1L;

  CallCancelledException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
