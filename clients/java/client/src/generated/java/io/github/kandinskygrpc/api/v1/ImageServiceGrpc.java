package io.github.kandinskygrpc.api.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Makes images. Results are ordered by embedding pair, then by count: image k uses the seed of the request plus k, so
 * each can be had again alone.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class ImageServiceGrpc {

  private ImageServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "kandinsky_api.v1.ImageService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.DecodeRequest,
      io.github.kandinskygrpc.api.v1.DecodeResponse> getDecodeMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Decode",
      requestType = io.github.kandinskygrpc.api.v1.DecodeRequest.class,
      responseType = io.github.kandinskygrpc.api.v1.DecodeResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.DecodeRequest,
      io.github.kandinskygrpc.api.v1.DecodeResponse> getDecodeMethod() {
    io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.DecodeRequest, io.github.kandinskygrpc.api.v1.DecodeResponse> getDecodeMethod;
    if ((getDecodeMethod = ImageServiceGrpc.getDecodeMethod) == null) {
      synchronized (ImageServiceGrpc.class) {
        if ((getDecodeMethod = ImageServiceGrpc.getDecodeMethod) == null) {
          ImageServiceGrpc.getDecodeMethod = getDecodeMethod =
              io.grpc.MethodDescriptor.<io.github.kandinskygrpc.api.v1.DecodeRequest, io.github.kandinskygrpc.api.v1.DecodeResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Decode"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.DecodeRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.DecodeResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ImageServiceMethodDescriptorSupplier("Decode"))
              .build();
        }
      }
    }
    return getDecodeMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.Img2ImgRequest,
      io.github.kandinskygrpc.api.v1.Img2ImgResponse> getImg2ImgMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Img2Img",
      requestType = io.github.kandinskygrpc.api.v1.Img2ImgRequest.class,
      responseType = io.github.kandinskygrpc.api.v1.Img2ImgResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.Img2ImgRequest,
      io.github.kandinskygrpc.api.v1.Img2ImgResponse> getImg2ImgMethod() {
    io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.Img2ImgRequest, io.github.kandinskygrpc.api.v1.Img2ImgResponse> getImg2ImgMethod;
    if ((getImg2ImgMethod = ImageServiceGrpc.getImg2ImgMethod) == null) {
      synchronized (ImageServiceGrpc.class) {
        if ((getImg2ImgMethod = ImageServiceGrpc.getImg2ImgMethod) == null) {
          ImageServiceGrpc.getImg2ImgMethod = getImg2ImgMethod =
              io.grpc.MethodDescriptor.<io.github.kandinskygrpc.api.v1.Img2ImgRequest, io.github.kandinskygrpc.api.v1.Img2ImgResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Img2Img"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.Img2ImgRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.Img2ImgResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ImageServiceMethodDescriptorSupplier("Img2Img"))
              .build();
        }
      }
    }
    return getImg2ImgMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.InpaintRequest,
      io.github.kandinskygrpc.api.v1.InpaintResponse> getInpaintMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Inpaint",
      requestType = io.github.kandinskygrpc.api.v1.InpaintRequest.class,
      responseType = io.github.kandinskygrpc.api.v1.InpaintResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.InpaintRequest,
      io.github.kandinskygrpc.api.v1.InpaintResponse> getInpaintMethod() {
    io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.InpaintRequest, io.github.kandinskygrpc.api.v1.InpaintResponse> getInpaintMethod;
    if ((getInpaintMethod = ImageServiceGrpc.getInpaintMethod) == null) {
      synchronized (ImageServiceGrpc.class) {
        if ((getInpaintMethod = ImageServiceGrpc.getInpaintMethod) == null) {
          ImageServiceGrpc.getInpaintMethod = getInpaintMethod =
              io.grpc.MethodDescriptor.<io.github.kandinskygrpc.api.v1.InpaintRequest, io.github.kandinskygrpc.api.v1.InpaintResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Inpaint"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.InpaintRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.InpaintResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ImageServiceMethodDescriptorSupplier("Inpaint"))
              .build();
        }
      }
    }
    return getInpaintMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.ControlNetRequest,
      io.github.kandinskygrpc.api.v1.ControlNetResponse> getControlNetMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ControlNet",
      requestType = io.github.kandinskygrpc.api.v1.ControlNetRequest.class,
      responseType = io.github.kandinskygrpc.api.v1.ControlNetResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.ControlNetRequest,
      io.github.kandinskygrpc.api.v1.ControlNetResponse> getControlNetMethod() {
    io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.ControlNetRequest, io.github.kandinskygrpc.api.v1.ControlNetResponse> getControlNetMethod;
    if ((getControlNetMethod = ImageServiceGrpc.getControlNetMethod) == null) {
      synchronized (ImageServiceGrpc.class) {
        if ((getControlNetMethod = ImageServiceGrpc.getControlNetMethod) == null) {
          ImageServiceGrpc.getControlNetMethod = getControlNetMethod =
              io.grpc.MethodDescriptor.<io.github.kandinskygrpc.api.v1.ControlNetRequest, io.github.kandinskygrpc.api.v1.ControlNetResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ControlNet"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.ControlNetRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.ControlNetResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ImageServiceMethodDescriptorSupplier("ControlNet"))
              .build();
        }
      }
    }
    return getControlNetMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.GenerateRequest,
      io.github.kandinskygrpc.api.v1.GenerateResponse> getGenerateMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Generate",
      requestType = io.github.kandinskygrpc.api.v1.GenerateRequest.class,
      responseType = io.github.kandinskygrpc.api.v1.GenerateResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.GenerateRequest,
      io.github.kandinskygrpc.api.v1.GenerateResponse> getGenerateMethod() {
    io.grpc.MethodDescriptor<io.github.kandinskygrpc.api.v1.GenerateRequest, io.github.kandinskygrpc.api.v1.GenerateResponse> getGenerateMethod;
    if ((getGenerateMethod = ImageServiceGrpc.getGenerateMethod) == null) {
      synchronized (ImageServiceGrpc.class) {
        if ((getGenerateMethod = ImageServiceGrpc.getGenerateMethod) == null) {
          ImageServiceGrpc.getGenerateMethod = getGenerateMethod =
              io.grpc.MethodDescriptor.<io.github.kandinskygrpc.api.v1.GenerateRequest, io.github.kandinskygrpc.api.v1.GenerateResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Generate"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.GenerateRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.kandinskygrpc.api.v1.GenerateResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ImageServiceMethodDescriptorSupplier("Generate"))
              .build();
        }
      }
    }
    return getGenerateMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static ImageServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ImageServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ImageServiceStub>() {
        @java.lang.Override
        public ImageServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ImageServiceStub(channel, callOptions);
        }
      };
    return ImageServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static ImageServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ImageServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ImageServiceBlockingV2Stub>() {
        @java.lang.Override
        public ImageServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ImageServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return ImageServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static ImageServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ImageServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ImageServiceBlockingStub>() {
        @java.lang.Override
        public ImageServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ImageServiceBlockingStub(channel, callOptions);
        }
      };
    return ImageServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static ImageServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ImageServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ImageServiceFutureStub>() {
        @java.lang.Override
        public ImageServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ImageServiceFutureStub(channel, callOptions);
        }
      };
    return ImageServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Makes images. Results are ordered by embedding pair, then by count: image k uses the seed of the request plus k, so
   * each can be had again alone.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Turns embeddings into images. Equals diffusers' KandinskyV22Pipeline.
     * </pre>
     */
    default void decode(io.github.kandinskygrpc.api.v1.DecodeRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.DecodeResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDecodeMethod(), responseObserver);
    }

    /**
     * <pre>
     * Repaints an image towards embeddings. Equals diffusers' KandinskyV22Img2ImgPipeline.
     * </pre>
     */
    default void img2Img(io.github.kandinskygrpc.api.v1.Img2ImgRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.Img2ImgResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getImg2ImgMethod(), responseObserver);
    }

    /**
     * <pre>
     * Repaints the white part of a mask. Equals diffusers' KandinskyV22InpaintPipeline.
     * </pre>
     */
    default void inpaint(io.github.kandinskygrpc.api.v1.InpaintRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.InpaintResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getInpaintMethod(), responseObserver);
    }

    /**
     * <pre>
     * Turns embeddings into images that follow a depth hint. Equals diffusers' KandinskyV22ControlnetPipeline; with
     * `image`, its KandinskyV22ControlnetImg2ImgPipeline.
     * </pre>
     */
    default void controlNet(io.github.kandinskygrpc.api.v1.ControlNetRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.ControlNetResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getControlNetMethod(), responseObserver);
    }

    /**
     * <pre>
     * Turns prompts into images in one call: Prior, then Decode, Img2Img or Inpaint with what it made, each part from the
     * request's seed, unless the prior's has its own. Equals diffusers' KandinskyV22CombinedPipeline,
     * KandinskyV22Img2ImgCombinedPipeline and KandinskyV22InpaintCombinedPipeline up to the random numbers of the second
     * part.
     * </pre>
     */
    default void generate(io.github.kandinskygrpc.api.v1.GenerateRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.GenerateResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGenerateMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service ImageService.
   * <pre>
   * Makes images. Results are ordered by embedding pair, then by count: image k uses the seed of the request plus k, so
   * each can be had again alone.
   * </pre>
   */
  public static abstract class ImageServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return ImageServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service ImageService.
   * <pre>
   * Makes images. Results are ordered by embedding pair, then by count: image k uses the seed of the request plus k, so
   * each can be had again alone.
   * </pre>
   */
  public static final class ImageServiceStub
      extends io.grpc.stub.AbstractAsyncStub<ImageServiceStub> {
    private ImageServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ImageServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ImageServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Turns embeddings into images. Equals diffusers' KandinskyV22Pipeline.
     * </pre>
     */
    public void decode(io.github.kandinskygrpc.api.v1.DecodeRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.DecodeResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getDecodeMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Repaints an image towards embeddings. Equals diffusers' KandinskyV22Img2ImgPipeline.
     * </pre>
     */
    public void img2Img(io.github.kandinskygrpc.api.v1.Img2ImgRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.Img2ImgResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getImg2ImgMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Repaints the white part of a mask. Equals diffusers' KandinskyV22InpaintPipeline.
     * </pre>
     */
    public void inpaint(io.github.kandinskygrpc.api.v1.InpaintRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.InpaintResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getInpaintMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Turns embeddings into images that follow a depth hint. Equals diffusers' KandinskyV22ControlnetPipeline; with
     * `image`, its KandinskyV22ControlnetImg2ImgPipeline.
     * </pre>
     */
    public void controlNet(io.github.kandinskygrpc.api.v1.ControlNetRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.ControlNetResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getControlNetMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Turns prompts into images in one call: Prior, then Decode, Img2Img or Inpaint with what it made, each part from the
     * request's seed, unless the prior's has its own. Equals diffusers' KandinskyV22CombinedPipeline,
     * KandinskyV22Img2ImgCombinedPipeline and KandinskyV22InpaintCombinedPipeline up to the random numbers of the second
     * part.
     * </pre>
     */
    public void generate(io.github.kandinskygrpc.api.v1.GenerateRequest request,
        io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.GenerateResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getGenerateMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service ImageService.
   * <pre>
   * Makes images. Results are ordered by embedding pair, then by count: image k uses the seed of the request plus k, so
   * each can be had again alone.
   * </pre>
   */
  public static final class ImageServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<ImageServiceBlockingV2Stub> {
    private ImageServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ImageServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ImageServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Turns embeddings into images. Equals diffusers' KandinskyV22Pipeline.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.kandinskygrpc.api.v1.DecodeResponse>
        decode(io.github.kandinskygrpc.api.v1.DecodeRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getDecodeMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Repaints an image towards embeddings. Equals diffusers' KandinskyV22Img2ImgPipeline.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.kandinskygrpc.api.v1.Img2ImgResponse>
        img2Img(io.github.kandinskygrpc.api.v1.Img2ImgRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getImg2ImgMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Repaints the white part of a mask. Equals diffusers' KandinskyV22InpaintPipeline.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.kandinskygrpc.api.v1.InpaintResponse>
        inpaint(io.github.kandinskygrpc.api.v1.InpaintRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getInpaintMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Turns embeddings into images that follow a depth hint. Equals diffusers' KandinskyV22ControlnetPipeline; with
     * `image`, its KandinskyV22ControlnetImg2ImgPipeline.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.kandinskygrpc.api.v1.ControlNetResponse>
        controlNet(io.github.kandinskygrpc.api.v1.ControlNetRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getControlNetMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Turns prompts into images in one call: Prior, then Decode, Img2Img or Inpaint with what it made, each part from the
     * request's seed, unless the prior's has its own. Equals diffusers' KandinskyV22CombinedPipeline,
     * KandinskyV22Img2ImgCombinedPipeline and KandinskyV22InpaintCombinedPipeline up to the random numbers of the second
     * part.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.kandinskygrpc.api.v1.GenerateResponse>
        generate(io.github.kandinskygrpc.api.v1.GenerateRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getGenerateMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service ImageService.
   * <pre>
   * Makes images. Results are ordered by embedding pair, then by count: image k uses the seed of the request plus k, so
   * each can be had again alone.
   * </pre>
   */
  public static final class ImageServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<ImageServiceBlockingStub> {
    private ImageServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ImageServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ImageServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Turns embeddings into images. Equals diffusers' KandinskyV22Pipeline.
     * </pre>
     */
    public java.util.Iterator<io.github.kandinskygrpc.api.v1.DecodeResponse> decode(
        io.github.kandinskygrpc.api.v1.DecodeRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getDecodeMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Repaints an image towards embeddings. Equals diffusers' KandinskyV22Img2ImgPipeline.
     * </pre>
     */
    public java.util.Iterator<io.github.kandinskygrpc.api.v1.Img2ImgResponse> img2Img(
        io.github.kandinskygrpc.api.v1.Img2ImgRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getImg2ImgMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Repaints the white part of a mask. Equals diffusers' KandinskyV22InpaintPipeline.
     * </pre>
     */
    public java.util.Iterator<io.github.kandinskygrpc.api.v1.InpaintResponse> inpaint(
        io.github.kandinskygrpc.api.v1.InpaintRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getInpaintMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Turns embeddings into images that follow a depth hint. Equals diffusers' KandinskyV22ControlnetPipeline; with
     * `image`, its KandinskyV22ControlnetImg2ImgPipeline.
     * </pre>
     */
    public java.util.Iterator<io.github.kandinskygrpc.api.v1.ControlNetResponse> controlNet(
        io.github.kandinskygrpc.api.v1.ControlNetRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getControlNetMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Turns prompts into images in one call: Prior, then Decode, Img2Img or Inpaint with what it made, each part from the
     * request's seed, unless the prior's has its own. Equals diffusers' KandinskyV22CombinedPipeline,
     * KandinskyV22Img2ImgCombinedPipeline and KandinskyV22InpaintCombinedPipeline up to the random numbers of the second
     * part.
     * </pre>
     */
    public java.util.Iterator<io.github.kandinskygrpc.api.v1.GenerateResponse> generate(
        io.github.kandinskygrpc.api.v1.GenerateRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getGenerateMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service ImageService.
   * <pre>
   * Makes images. Results are ordered by embedding pair, then by count: image k uses the seed of the request plus k, so
   * each can be had again alone.
   * </pre>
   */
  public static final class ImageServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<ImageServiceFutureStub> {
    private ImageServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ImageServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ImageServiceFutureStub(channel, callOptions);
    }
  }

  private static final int METHODID_DECODE = 0;
  private static final int METHODID_IMG2IMG = 1;
  private static final int METHODID_INPAINT = 2;
  private static final int METHODID_CONTROL_NET = 3;
  private static final int METHODID_GENERATE = 4;

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
        case METHODID_DECODE:
          serviceImpl.decode((io.github.kandinskygrpc.api.v1.DecodeRequest) request,
              (io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.DecodeResponse>) responseObserver);
          break;
        case METHODID_IMG2IMG:
          serviceImpl.img2Img((io.github.kandinskygrpc.api.v1.Img2ImgRequest) request,
              (io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.Img2ImgResponse>) responseObserver);
          break;
        case METHODID_INPAINT:
          serviceImpl.inpaint((io.github.kandinskygrpc.api.v1.InpaintRequest) request,
              (io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.InpaintResponse>) responseObserver);
          break;
        case METHODID_CONTROL_NET:
          serviceImpl.controlNet((io.github.kandinskygrpc.api.v1.ControlNetRequest) request,
              (io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.ControlNetResponse>) responseObserver);
          break;
        case METHODID_GENERATE:
          serviceImpl.generate((io.github.kandinskygrpc.api.v1.GenerateRequest) request,
              (io.grpc.stub.StreamObserver<io.github.kandinskygrpc.api.v1.GenerateResponse>) responseObserver);
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
          getDecodeMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.kandinskygrpc.api.v1.DecodeRequest,
              io.github.kandinskygrpc.api.v1.DecodeResponse>(
                service, METHODID_DECODE)))
        .addMethod(
          getImg2ImgMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.kandinskygrpc.api.v1.Img2ImgRequest,
              io.github.kandinskygrpc.api.v1.Img2ImgResponse>(
                service, METHODID_IMG2IMG)))
        .addMethod(
          getInpaintMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.kandinskygrpc.api.v1.InpaintRequest,
              io.github.kandinskygrpc.api.v1.InpaintResponse>(
                service, METHODID_INPAINT)))
        .addMethod(
          getControlNetMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.kandinskygrpc.api.v1.ControlNetRequest,
              io.github.kandinskygrpc.api.v1.ControlNetResponse>(
                service, METHODID_CONTROL_NET)))
        .addMethod(
          getGenerateMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.kandinskygrpc.api.v1.GenerateRequest,
              io.github.kandinskygrpc.api.v1.GenerateResponse>(
                service, METHODID_GENERATE)))
        .build();
  }

  private static abstract class ImageServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    ImageServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.kandinskygrpc.api.v1.Image.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("ImageService");
    }
  }

  private static final class ImageServiceFileDescriptorSupplier
      extends ImageServiceBaseDescriptorSupplier {
    ImageServiceFileDescriptorSupplier() {}
  }

  private static final class ImageServiceMethodDescriptorSupplier
      extends ImageServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    ImageServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (ImageServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new ImageServiceFileDescriptorSupplier())
              .addMethod(getDecodeMethod())
              .addMethod(getImg2ImgMethod())
              .addMethod(getInpaintMethod())
              .addMethod(getControlNetMethod())
              .addMethod(getGenerateMethod())
              .build();
        }
      }
    }
    return result;
  }
}
