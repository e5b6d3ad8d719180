package io.github.kandinskygrpc;

import io.grpc.Metadata;
import java.util.regex.Pattern;

/** gRPC metadata, checked here: gRPC itself would send something else, or blame the server. */
final class CallMetadata {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  private static final Pattern VALUE = Pattern.compile("[ -~]*");

  private CallMetadata() {}

  /** Returns both, the client's own first. */
  static Metadata merged(Metadata first, Metadata second) {
    Metadata both = new Metadata();
    both.merge(first);
    both.merge(checked(second));
    return both;
  }

  /** Returns the metadata that shows a token. */
  static Metadata bearer(String token) {
    if (!token.equals(token.strip())) {
      throw new IllegalArgumentException(
          "token starts or ends with white space, such as a file's last newline; strip() it");
    }
    if (!VALUE.matcher(token).matches()) {
      throw new IllegalArgumentException(
          "token must be printable ASCII: it holds a control character or a non-ASCII one");
    }
    Metadata metadata = new Metadata();
    metadata.put(AUTHORIZATION, "Bearer " + token);
    return metadata;
  }

  private static Metadata checked(Metadata metadata) {
    for (String name : metadata.keys()) {
      if (name.startsWith("grpc-")) {
        throw new IllegalArgumentException("metadata key " + name + " must not start with grpc-");
      }
      if (!name.endsWith(Metadata.BINARY_HEADER_SUFFIX)) {
        checkValues(name, metadata);
      }
    }
    return metadata;
  }

  private static void checkValues(String name, Metadata metadata) {
    Metadata.Key<String> key = Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
    for (String value : metadata.getAll(key)) {
      if (!VALUE.matcher(value).matches()) {
        throw new IllegalArgumentException(
            "metadata "
                + name
                + " must be printable ASCII; a key that ends in -bin takes any bytes");
      }
    }
  }
}
