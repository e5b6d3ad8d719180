package io.github.kandinskygrpc;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.Durations;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** The google.rpc details of a status; those that cannot be read are passed over. */
final class StatusDetails {
  private static final String DOMAIN = "kandinsky-grpc.github.io";

  private final List<Any> details;

  StatusDetails(Status status, Metadata trailers) {
    details = details(status, trailers);
  }

  ErrorInfo errorInfo() {
    return unpacked(ErrorInfo.class)
        .filter(info -> info.getDomain().equals(DOMAIN))
        .findFirst()
        .orElse(ErrorInfo.getDefaultInstance());
  }

  List<FieldViolation> fieldViolations() {
    return unpacked(BadRequest.class)
        .flatMap(request -> request.getFieldViolationsList().stream())
        .map(each -> new FieldViolation(each.getField(), each.getDescription()))
        .toList();
  }

  Optional<Duration> retryDelay() {
    return unpacked(RetryInfo.class)
        .map(RetryInfo::getRetryDelay)
        .filter(Durations::isValid)
        .map(delay -> Duration.ofSeconds(delay.getSeconds(), delay.getNanos()))
        .findFirst();
  }

  Optional<String> requestId() {
    return unpacked(RequestInfo.class).map(RequestInfo::getRequestId).findFirst();
  }

  private static List<Any> details(Status status, Metadata trailers) {
    try {
      com.google.rpc.Status proto = StatusProto.fromStatusAndTrailers(status, trailers);
      return proto.getDetailsList();
    } catch (IllegalArgumentException e) { // cut off, or of another code than the status
      return List.of();
    }
  }

  private <T extends Message> Stream<T> unpacked(Class<T> type) {
    return details.stream().filter(detail -> detail.is(type)).flatMap(detail -> read(detail, type));
  }

  private static <T extends Message> Stream<T> read(Any detail, Class<T> type) {
    try {
      return Stream.of(detail.unpack(type));
    } catch (InvalidProtocolBufferException e) {
      return Stream.empty();
    }
  }
}
