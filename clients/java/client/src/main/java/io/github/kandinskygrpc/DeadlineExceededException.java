package io.github.kandinskygrpc;

/** DEADLINE_EXCEEDED: the timeout passed before the last result. */
public final class DeadlineExceededException extends RpcException {
  private static final long serialVersionUID = 1L;

  DeadlineExceededException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
