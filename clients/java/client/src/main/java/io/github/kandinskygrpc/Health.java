package io.github.kandinskygrpc;

import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import io.grpc.MethodDescriptor;
import io.grpc.protobuf.ProtoUtils;

/** The health of a server, or of one of its services, as grpc.health.v1 numbers it. */
public enum Health {
  /** It does not say; or says what is newer than this client. */
  UNKNOWN,
  /** It serves. */
  SERVING,
  /** It starts, drains, or cannot go on. */
  NOT_SERVING,
  /** There is no such service. */
  SERVICE_UNKNOWN;

  /**
   * The method of grpc.health.v1, whose stubs are an artefact of their own. On the wire its request
   * is one string and its response one enum, in field 1: what these two well-known types are.
   */
  static final MethodDescriptor<StringValue, Int32Value> CHECK =
      MethodDescriptor.<StringValue, Int32Value>newBuilder()
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName("grpc.health.v1.Health/Check")
          .setRequestMarshaller(ProtoUtils.marshaller(StringValue.getDefaultInstance()))
          .setResponseMarshaller(ProtoUtils.marshaller(Int32Value.getDefaultInstance()))
          .build();

  static Health of(int status) {
    return status >= 0 && status < values().length ? values()[status] : UNKNOWN;
  }
}
