package io.github.kandinskygrpc;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.github.kandinskygrpc.api.v1.EstimateRequest;
import io.github.kandinskygrpc.api.v1.Priority;
import io.github.kandinskygrpc.api.v1.RequestOptions;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Sets what the caller left unset in a request, and its options. All requests name these fields
 * alike.
 */
final class RequestDefaults {
  private static final long DRAWN_SEEDS = 1L << 32;

  private RequestDefaults() {}

  /** Sets the seed, and the priority if there is one to set. */
  static <T extends Message> T filled(T request, Priority priority) {
    return withSeed(withPriority(request, priority));
  }

  /** Does so in the request that is asked about. */
  static EstimateRequest filled(EstimateRequest estimate, Priority priority) {
    FieldDescriptor kind =
        estimate.getOneofFieldDescriptor(EstimateRequest.getDescriptor().getOneofs().get(0));
    if (kind == null) {
      return estimate;
    }
    Message asked = filled((Message) estimate.getField(kind), priority);
    return estimate.toBuilder().setField(kind, asked).build();
  }

  /** Asks for no progress: of calls whose events nobody sees. */
  static <T extends Message> T withoutProgress(T request) {
    RequestOptions options = options(request);
    return options.hasProgressIntervalSteps()
        ? request
        : withOptions(request, options.toBuilder().setProgressIntervalSteps(0).build());
  }

  static RequestOptions options(Message request) {
    return (RequestOptions) request.getField(field(request, "options"));
  }

  static <T extends Message> T withOptions(T request, RequestOptions options) {
    return with(request, "options", options);
  }

  /** Draws the seed here and not at the server, so that a call that is tried again is the same. */
  private static <T extends Message> T withSeed(T request) {
    Message sampling = (Message) request.getField(field(request, "sampling"));
    if (sampling.hasField(field(sampling, "seed"))) {
      return request;
    }
    long seed = ThreadLocalRandom.current().nextLong(DRAWN_SEEDS);
    return with(request, "sampling", with(sampling, "seed", seed));
  }

  private static <T extends Message> T withPriority(T request, Priority priority) {
    RequestOptions options = options(request);
    boolean given = options.getPriority() != Priority.PRIORITY_UNSPECIFIED;
    return given || priority == Priority.PRIORITY_UNSPECIFIED
        ? request
        : withOptions(request, options.toBuilder().setPriority(priority).build());
  }

  @SuppressWarnings("unchecked") // a message's builder builds messages of its class
  private static <T extends Message> T with(T message, String name, Object value) {
    return (T) message.toBuilder().setField(field(message, name), value).build();
  }

  private static FieldDescriptor field(Message message, String name) {
    return message.getDescriptorForType().findFieldByName(name);
  }
}
