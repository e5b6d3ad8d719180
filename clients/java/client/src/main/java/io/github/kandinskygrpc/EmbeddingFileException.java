package io.github.kandinskygrpc;

/** A file that is no {@code .safetensors} file of embeddings. */
public final class EmbeddingFileException extends KandinskyException {
  private static final long serialVersionUID = 1L;

  EmbeddingFileException(String message, Throwable cause) {
    super(message, cause);
  }
}
