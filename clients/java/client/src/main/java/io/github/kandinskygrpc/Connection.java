package io.github.kandinskygrpc;

import io.github.kandinskygrpc.api.v1.Priority;
import io.grpc.CallOptions;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** The way to the server, and how calls go it: shared by a client and those made of it. */
record Connection(
    ManagedChannel channel,
    Optional<Duration> timeout,
    int retries,
    Priority priority,
    Metadata metadata) {

  Connection withTimeout(Duration other) {
    return new Connection(channel, Timeouts.checked(other), retries, priority, metadata);
  }

  Connection withMetadata(Metadata more) {
    return new Connection(channel, timeout, retries, priority, CallMetadata.merged(metadata, more));
  }

  Connection withoutRetries() {
    return new Connection(channel, timeout, 0, priority, metadata);
  }

  /** Starts the clock of one call. */
  Retry retry() {
    return new Retry(timeout, retries);
  }

  /** Returns how long to wait before the next try; throws the error when another cannot help. */
  Duration delayAfter(RpcException error, Retry retry) {
    if (channel.isShutdown()) {
      throw RpcExceptions.cancelled("the client is closed", error);
    }
    Duration delay = retry.delayAfter(error).orElseThrow(() -> error);
    // gRPC itself would not look again for a second, and later for two minutes.
    channel.resetConnectBackoff();
    return delay;
  }

  static CallOptions callOptions(Retry retry) {
    return retry.deadline().map(CallOptions.DEFAULT::withDeadline).orElse(CallOptions.DEFAULT);
  }

  /** Makes a call that is no stream, and waits for its answer. */
  <ReqT, RespT> RespT ask(MethodDescriptor<ReqT, RespT> method, ReqT request) {
    Retry retry = retry();
    while (true) {
      try {
        return ClientCalls.blockingUnaryCall(
            ClientInterceptors.intercept(
                channel, MetadataUtils.newAttachHeadersInterceptor(metadata)),
            method,
            callOptions(retry),
            request);
      } catch (StatusRuntimeException e) {
        Metadata trailers = Optional.ofNullable(e.getTrailers()).orElseGet(Metadata::new);
        pause(delayAfter(RpcExceptions.of(e.getStatus(), new Metadata(), trailers), retry));
      }
    }
  }

  private static void pause(Duration delay) {
    try {
      TimeUnit.NANOSECONDS.sleep(delay.toNanos());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw RpcExceptions.cancelled("the thread was interrupted", e);
    }
  }
}
