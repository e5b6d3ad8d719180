package io.github.kandinskygrpc;

/** The server was started without the stage, or depth model, that the call needs. */
public final class StageNotLoadedException extends PreconditionException {
  private static final long serialVersionUID = 1L;

  StageNotLoadedException(RpcError error, Throwable cause) {
    super(error, cause);
  }
}
