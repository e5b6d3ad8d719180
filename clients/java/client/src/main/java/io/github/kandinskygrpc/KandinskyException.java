package io.github.kandinskygrpc;

/** The root of what this package throws on purpose, wrong arguments aside. */
public abstract sealed class KandinskyException extends RuntimeException
    permits RpcException, IncompleteStreamException, EmbeddingFileException {
  private static final long serialVersionUID = 1L;

  KandinskyException(String message, Throwable cause) {
    super(message, cause);
  }
}
