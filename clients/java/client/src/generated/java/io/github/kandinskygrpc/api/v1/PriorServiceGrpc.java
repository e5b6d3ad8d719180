package io.github.kandinskygrpc.api.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Makes CLIP image embeddings, the half of Kandinsky 2.2 whose results are worth keeping: any image RPC takes them, as
 * often as wanted.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class PriorServiceGrpc {

  private PriorServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "kandinsky_api.v1.PriorService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.PriorRequest,
      io.github.kandinskygrpc.api.v1.PriorResponse> getPriorMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Prior",
      requestType = io.github.kandinskygrpc.api.v1.PriorRequest.class,
      responseType = io.github.kandinskygrpc.api.v1.PriorResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.PriorRequest,
      io.github.kandinskygrpc.api.v1.PriorResponse> getPriorMethod() {
    io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.PriorRequest, io.github.kandinskygrpc.api.v1.PriorResponse> getPriorMethod;
    if ((getPriorMethod = PriorServiceGrpc.getPriorMethod) == null) {
      synchronized (PriorServiceGrpc.class) {
        if ((getPriorMethod = PriorServiceGrpc.getPriorMethod) == null) {
          PriorServiceGrpc.getPriorMethod = getPriorMethod =
              io.grpc.MethodDescriptor.<io.github.kandinskygrpc.api.v1.PriorRequest, io.github.kandinskygrpc.api.v1.PriorResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Prior"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.PriorRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.PriorResponse.getDefaultInstance()))
              .setSchemaDescriptor(new PriorServiceMethodDescriptorSupplier("Prior"))
              .build();
        }
      }
    }
    return getPriorMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.InterpolateRequest,
      io.github.kandinskygrpc.api.v1.InterpolateResponse> getInterpolateMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Interpolate",
      requestType = io.github.kandinskygrpc.api.v1.InterpolateRequest.class,
      responseType = io.github.kandinskygrpc.api.v1.InterpolateResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.InterpolateRequest,
      io.github.kandinskygrpc.api.v1.InterpolateResponse> getInterpolateMethod() {
    io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.InterpolateRequest, io.github.kandinskygrpc.api.v1.InterpolateResponse> getInterpolateMethod;
    if ((getInterpolateMethod = PriorServiceGrpc.getInterpolateMethod) == null) {
      synchronized (PriorServiceGrpc.class) {
        if ((getInterpolateMethod = PriorServiceGrpc.getInterpolateMethod) == null) {
          PriorServiceGrpc.getInterpolateMethod = getInterpolateMethod =
              io.grpc.MethodDescriptor.<io.github.kandinskygrpc.api.v1.InterpolateRequest, io.github.kandinskygrpc.api.v1.InterpolateResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Interpolate"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.InterpolateRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.InterpolateResponse.getDefaultInstance()))
              .setSchemaDescriptor(new PriorServiceMethodDescriptorSupplier("Interpolate"))
              .build();
        }
      }
    }
    return getInterpolateMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static PriorServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<PriorServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<PriorServiceStub>() {
        @java.lang.Override
        public PriorServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new PriorServiceStub(channel, callOptions);
        }
      };
    return PriorServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static PriorServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<PriorServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<PriorServiceBlockingV2Stub>() {
        @java.lang.Override
        public PriorServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new PriorServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return PriorServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static PriorServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<PriorServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<PriorServiceBlockingStub>() {
        @java.lang.Override
        public PriorServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new PriorServiceBlockingStub(channel, callOptions);
        }
      };
    return PriorServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static PriorServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<PriorServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<PriorServiceFutureStub>() {
        @java.lang.Override
        public PriorServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new PriorServiceFutureStub(channel, callOptions);
        }
      };
    return PriorServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Makes CLIP image embeddings, the half of Kandinsky 2.2 whose results are worth keeping: any image RPC takes them, as
   * often as wanted.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Turns prompts (and optionally a start image) into embeddings. Equals diffusers' KandinskyV22PriorPipeline; with
     * `image`, its KandinskyV22PriorEmb2EmbPipeline. Each embedding is sent as soon as it is finished.
     * </pre>
     */
    default void prior(io.github.kandinskygrpc.api.v1.PriorRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.PriorResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getPriorMethod(), responseObserver);
    }

    /**
     * <pre>
     * Mixes embeddings of texts, images and embeddings already held by weight. Equals both pipelines' `interpolate`,
     * with every condition starting from the request's seed.
     * </pre>
     */
    default void interpolate(io.github.kandinskygrpc.api.v1.InterpolateRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.InterpolateResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getInterpolateMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service PriorService.
   * <pre>
   * Makes CLIP image embeddings, the half of Kandinsky 2.2 whose results are worth keeping: any image RPC takes them, as
   * often as wanted.
   * </pre>
   */
  public static abstract class PriorServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return PriorServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service PriorService.
   * <pre>
   * Makes CLIP image embeddings, the half of Kandinsky 2.2 whose results are worth keeping: any image RPC takes them, as
   * often as wanted.
   * </pre>
   */
  public static final class PriorServiceStub
      extends io.grpc.stub.AbstractAsyncStub<PriorServiceStub> {
    private PriorServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected PriorServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new PriorServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Turns prompts (and optionally a start image) into embeddings. Equals diffusers' KandinskyV22PriorPipeline; with
     * `image`, its KandinskyV22PriorEmb2EmbPipeline. Each embedding is sent as soon as it is finished.
     * </pre>
     */
    public void prior(io.github.kandinskygrpc.api.v1.PriorRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.PriorResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getPriorMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Mixes embeddings of texts, images and embeddings already held by weight. Equals both pipelines' `interpolate`,
     * with every condition starting from the request's seed.
     * </pre>
     */
    public void interpolate(io.github.kandinskygrpc.api.v1.InterpolateRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.InterpolateResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getInterpolateMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service PriorService.
   * <pre>
   * Makes CLIP image embeddings, the half of Kandinsky 2.2 whose results are worth keeping: any image RPC takes them, as
   * often as wanted.
   * </pre>
   */
  public static final class PriorServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<PriorServiceBlockingV2Stub> {
    private PriorServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected PriorServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new PriorServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Turns prompts (and optionally a start image) into embeddings. Equals diffusers' KandinskyV22PriorPipeline; with
     * `image`, its KandinskyV22PriorEmb2EmbPipeline. Each embedding is sent as soon as it is finished.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.kandinskygrpc.api.v1.PriorResponse>
        prior(io.github.kandinskygrpc.api.v1.PriorRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getPriorMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Mixes embeddings of texts, images and embeddings already held by weight. Equals both pipelines' `interpolate`,
     * with every condition starting from the request's seed.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.kandinskygrpc.api.v1.InterpolateResponse>
        interpolate(io.github.kandinskygrpc.api.v1.InterpolateRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getInterpolateMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service PriorService.
   * <pre>
   * Makes CLIP image embeddings, the half of Kandinsky 2.2 whose results are worth keeping: any image RPC takes them, as
   * often as wanted.
   * </pre>
   */
  public static final class PriorServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<PriorServiceBlockingStub> {
    private PriorServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected PriorServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new PriorServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Turns prompts (and optionally a start image) into embeddings. Equals diffusers' KandinskyV22PriorPipeline; with
     * `image`, its KandinskyV22PriorEmb2EmbPipeline. Each embedding is sent as soon as it is finished.
     * </pre>
     */
    public java.util.Iterator<io.github.kandinskygrpc.api.v1.PriorResponse> prior(
        io.github.kandinskygrpc.api.v1.PriorRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getPriorMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Mixes embeddings of texts, images and embeddings already held by weight. Equals both pipelines' `interpolate`,
     * with every condition starting from the request's seed.
     * </pre>
     */
    public java.util.Iterator<io.github.kandinskygrpc.api.v1.InterpolateResponse> interpolate(
        io.github.kandinskygrpc.api.v1.InterpolateRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getInterpolateMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service PriorService.
   * <pre>
   * Makes CLIP image embeddings, the half of Kandinsky 2.2 whose results are worth keeping: any image RPC takes them, as
   * often as wanted.
   * </pre>
   */
  public static final class PriorServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<PriorServiceFutureStub> {
    private PriorServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected PriorServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new PriorServiceFutureStub(channel, callOptions);
    }
  }

  private static final int METHODID_PRIOR = 0;
  private static final int METHODID_INTERPOLATE = 1;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_PRIOR:
          serviceImpl.prior((io.github.kandinskygrpc.api.v1.PriorRequest) request,
              (io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.PriorResponse>) responseObserver);
          break;
        case METHODID_INTERPOLATE:
          serviceImpl.interpolate((io.github.kandinskygrpc.api.v1.InterpolateRequest) request,
              (io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.InterpolateResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getPriorMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.kandinskygrpc.api.v1.PriorRequest,
              io.github.kandinskygrpc.api.v1.PriorResponse>(
                service, METHODID_PRIOR)))
        .addMethod(
          getInterpolateMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.kandinskygrpc.api.v1.InterpolateRequest,
              io.github.kandinskygrpc.api.v1.InterpolateResponse>(
                service, METHODID_INTERPOLATE)))
        .build();
  }

  private static abstract class PriorServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    PriorServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.kandinskygrpc.api.v1.Prior.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("PriorService");
    }
  }

  private static final class PriorServiceFileDescriptorSupplier
      extends PriorServiceBaseDescriptorSupplier {
    PriorServiceFileDescriptorSupplier() {}
  }

  private static final class PriorServiceMethodDescriptorSupplier
      extends PriorServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    PriorServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (PriorServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new PriorServiceFileDescriptorSupplier())
              .addMethod(getPriorMethod())
              .addMethod(getInterpolateMethod())
              .build();
        }
      }
    }
    return result;
  }
}
