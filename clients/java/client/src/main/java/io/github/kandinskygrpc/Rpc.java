package io.github.kandinskygrpc;

import io.github.kandinskygrpc.api.v1.ControlNetRequest;
import io.github.kandinskygrpc.api.v1.ControlNetResponse;
import io.github.kandinskygrpc.api.v1.DecodeRequest;
import io.github.kandinskygrpc.api.v1.DecodeResponse;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.GenerateRequest;
import io.github.kandinskygrpc.api.v1.GenerateResponse;
import io.github.kandinskygrpc.api.v1.ImageServiceGrpc;
import io.github.kandinskygrpc.api.v1.Img2ImgRequest;
import io.github.kandinskygrpc.api.v1.Img2ImgResponse;
import io.github.kandinskygrpc.api.v1.InpaintRequest;
import io.github.kandinskygrpc.api.v1.InpaintResponse;
import io.github.kandinskygrpc.api.v1.InterpolateRequest;
import io.github.kandinskygrpc.api.v1.InterpolateResponse;
import io.github.kandinskygrpc.api.v1.PriorRequest;
import io.github.kandinskygrpc.api.v1.PriorResponse;
import io.github.kandinskygrpc.api.v1.PriorServiceGrpc;
import io.grpc.MethodDescriptor;
import java.util.function.Function;

/**
 * One of the seven streaming methods.
 *
 * @param event takes the event out of a response
 */
record Rpc<ReqT, RespT>(MethodDescriptor<ReqT, RespT> method, Function<RespT, Event> event) {
  static final Rpc<PriorRequest, PriorResponse> PRIOR =
      new Rpc<>(PriorServiceGrpc.getPriorMethod(), PriorResponse::getEvent);
  static final Rpc<InterpolateRequest, InterpolateResponse> INTERPOLATE =
      new Rpc<>(PriorServiceGrpc.getInterpolateMethod(), InterpolateResponse::getEvent);
  static final Rpc<DecodeRequest, DecodeResponse> DECODE =
      new Rpc<>(ImageServiceGrpc.getDecodeMethod(), DecodeResponse::getEvent);
  static final Rpc<Img2ImgRequest, Img2ImgResponse> IMG2IMG =
      new Rpc<>(ImageServiceGrpc.getImg2ImgMethod(), Img2ImgResponse::getEvent);
  static final Rpc<InpaintRequest, InpaintResponse> INPAINT =
      new Rpc<>(ImageServiceGrpc.getInpaintMethod(), InpaintResponse::getEvent);
  static final Rpc<ControlNetRequest, ControlNetResponse> CONTROL_NET =
      new Rpc<>(ImageServiceGrpc.getControlNetMethod(), ControlNetResponse::getEvent);
  static final Rpc<GenerateRequest, GenerateResponse> GENERATE =
      new Rpc<>(ImageServiceGrpc.getGenerateMethod(), GenerateResponse::getEvent);
}
