package io.github.kandinskygrpc;

import io.github.kandinskygrpc.api.v1.Priority;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelRegistry.ProviderNotFoundException;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** Where a client's server is, and how to speak to it. */
public final class KandinskyClientBuilder {
  static final String VERSION = "0.1.0";
  private static final int DEFAULT_RETRIES = 5;

  // An answer's messages stay near 1 MiB by contract; the room above is for servers with other
  // limits, and still bounds
  // what a stray server can make this process hold. What may be sent is the server's to limit.
  private static final int MAX_RECEIVE_BYTES = 64 << 20;
  // A request may wait in the queue without a word for longer than NAT tables and proxies remember.
  private static final long KEEPALIVE_SECONDS = 60;
  private static final long KEEPALIVE_TIMEOUT_SECONDS = 20;

  private final String target;
  private ChannelCredentials credentials = InsecureChannelCredentials.create();
  private Metadata metadata = new Metadata();
  private Optional<Duration> timeout = Optional.empty();
  private int retries = DEFAULT_RETRIES;
  private Priority priority = Priority.PRIORITY_UNSPECIFIED;

  KandinskyClientBuilder(String target) {
    if (target.startsWith("http://") || target.startsWith("https://")) {
      throw new IllegalArgumentException(
          "target must be an address such as localhost:50051, not the URL " + target);
    }
    this.target = target;
  }

  /** Speaks TLS, and trusts whom the JVM trusts. */
  public KandinskyClientBuilder tls() {
    return credentials(TlsChannelCredentials.create());
  }

  /**
   * Speaks as the credentials say: {@link TlsChannelCredentials} takes PEM files of authorities to
   * trust, and of this client's own certificate and key. Default: unencrypted.
   */
  public KandinskyClientBuilder credentials(ChannelCredentials credentials) {
    this.credentials = credentials;
    return this;
  }

  /** Sends {@code authorization: Bearer ...} with every call, on an unencrypted connection too. */
  public KandinskyClientBuilder token(String token) {
    return metadata(CallMetadata.bearer(token));
  }

  /** Sends more metadata with every call, such as {@code traceparent}. */
  public KandinskyClientBuilder metadata(Metadata more) {
    metadata = CallMetadata.merged(metadata, more);
    return this;
  }

  /**
   * Limits each call. Default: no limit.
   *
   * @param timeout for a whole call, retries and waits included, above 0; {@code
   *     ChronoUnit.FOREVER.getDuration()} is no limit
   */
  public KandinskyClientBuilder timeout(Duration timeout) {
    this.timeout = Timeouts.checked(timeout);
    return this;
  }

  /**
   * Sets the most retries of a call that the server turned away or that did not reach it. Default
   * 5; 0 is none.
   */
  public KandinskyClientBuilder retries(int retries) {
    if (retries < 0) {
      throw new IllegalArgumentException("retries must be 0 or more, not " + retries);
    }
    this.retries = retries;
    return this;
  }

  /** Sets the priority of requests that give none. */
  public KandinskyClientBuilder priority(Priority priority) {
    this.priority = priority;
    return this;
  }

  /**
   * Makes the client, which connects at its first call.
   *
   * @throws IllegalArgumentException if the target or the credentials cannot be
   */
  public KandinskyClient build() {
    return new KandinskyClient(new Connection(channel(), timeout, retries, priority, metadata));
  }

  private ManagedChannel channel() {
    try {
      return Grpc.newChannelBuilder(target, credentials)
          .userAgent("kandinsky-client-java/" + VERSION)
          .maxInboundMessageSize(MAX_RECEIVE_BYTES)
          .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
          .keepAliveTimeout(KEEPALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
          .disableRetry() // it would multiply this client's own
          .build();
    } catch (ProviderNotFoundException e) {
      throw new IllegalArgumentException("target or credentials: " + e.getMessage(), e);
    }
  }
}
