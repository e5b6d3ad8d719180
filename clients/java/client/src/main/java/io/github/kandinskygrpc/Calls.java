package io.github.kandinskygrpc;

import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import io.github.kandinskygrpc.api.v1.Condition;
import io.github.kandinskygrpc.api.v1.ControlNetRequest;
import io.github.kandinskygrpc.api.v1.DecodeRequest;
import io.github.kandinskygrpc.api.v1.GenerateRequest;
import io.github.kandinskygrpc.api.v1.Img2ImgRequest;
import io.github.kandinskygrpc.api.v1.InpaintRequest;
import io.github.kandinskygrpc.api.v1.InputImage;
import io.github.kandinskygrpc.api.v1.InterpolateRequest;
import io.github.kandinskygrpc.api.v1.PriorRequest;
import io.github.kandinskygrpc.api.v1.Weights;

/**
 * The seven streaming calls, whatever comes of them: {@link KandinskyClient} returns their results,
 * {@link KandinskyClient#stream} their events as they happen, {@link KandinskyClient#publisher} the
 * same without a thread.
 *
 * <p>Fields of a request that are left unset get the server's default; a seed that is unset is
 * drawn here, so that a call that is tried again is the same call.
 *
 * @param <EmbeddingsT> what comes of calls that make embeddings
 * @param <ImagesT> what comes of calls that make images
 */
public abstract sealed class Calls<EmbeddingsT, ImagesT> permits KandinskyClient, EventCalls {
  Calls() {}

  /** Turns prompts, and a start image if there is one, into embeddings. */
  public EmbeddingsT prior(PriorRequest request) {
    return embeddings(Rpc.PRIOR, request);
  }

  /** Mixes texts, images and embeddings by weight, once or along a path. */
  public EmbeddingsT interpolate(InterpolateRequest request) {
    return embeddings(Rpc.INTERPOLATE, request);
  }

  /**
   * Turns an encoded picture into its CLIP image embedding: {@code interpolate} with that one
   * condition, of weight 1.
   *
   * @param image the bytes of a PNG, JPEG or WebP file
   */
  public EmbeddingsT embedImage(byte[] image) {
    InputImage input = InputImage.newBuilder().setData(ByteString.copyFrom(image)).build();
    return interpolate(
        InterpolateRequest.newBuilder()
            .addConditions(Condition.newBuilder().setImage(input))
            .addWeights(Weights.newBuilder().addValues(1.0))
            .build());
  }

  /** Turns embeddings into images. */
  public ImagesT decode(DecodeRequest request) {
    return images(Rpc.DECODE, request);
  }

  /** Repaints an image towards embeddings. */
  public ImagesT img2Img(Img2ImgRequest request) {
    return images(Rpc.IMG2IMG, request);
  }

  /** Repaints the white part of a mask. */
  public ImagesT inpaint(InpaintRequest request) {
    return images(Rpc.INPAINT, request);
  }

  /** Turns embeddings into images that follow a depth hint. */
  public ImagesT controlNet(ControlNetRequest request) {
    return images(Rpc.CONTROL_NET, request);
  }

  /** Turns prompts into images in one call. */
  public ImagesT generate(GenerateRequest request) {
    return images(Rpc.GENERATE, request);
  }

  abstract <ReqT extends Message> EmbeddingsT embeddings(Rpc<ReqT, ?> rpc, ReqT request);

  abstract <ReqT extends Message> ImagesT images(Rpc<ReqT, ?> rpc, ReqT request);
}
