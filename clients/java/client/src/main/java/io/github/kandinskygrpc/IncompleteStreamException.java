package io.github.kandinskygrpc;

/** The stream ended without {@code completed}, or what it carried does not add up. */
public final class IncompleteStreamException extends KandinskyException {
  private static final long serialVersionUID = 1L;

  IncompleteStreamException(String message) {
    super(message, null);
  }
}
