package io.github.kandinskygrpc;

/**
 * RESOURCE_EXHAUSTED: queue full or over quota, see {@link #retryDelay}; or a message over the size
 * limit.
 */
public sealed class OverloadedException extends RpcException permits DeadlineUnreachableException {
  private static final long serialVersionUID = 1L;

  OverloadedException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
