import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import io.github.kandinskygrpc.Embeddings;
import io.github.kandinskygrpc.api.v1.Completed;
import io.github.kandinskygrpc.api.v1.DecodeRequest;
import io.github.kandinskygrpc.api.v1.DecodeResponse;
import io.github.kandinskygrpc.api.v1.EmbeddingPair;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.ImageResult;
import io.github.kandinskygrpc.api.v1.ImageServiceGrpc;
import io.github.kandinskygrpc.api.v1.PriorRequest;
import io.github.kandinskygrpc.api.v1.PriorResponse;
import io.github.kandinskygrpc.api.v1.PriorServiceGrpc;
import io.github.kandinskygrpc.api.v1.Receipt;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.stub.StreamObserver;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Runs the README's example against a server that answers with one embedding, and a picture for each seed. */
class ExampleTest {
  @Test
  void runs() throws Exception {
    Server server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new Prior())
            .addService(new Image())
            .build()
            .start();
    try {
      Example.main(new String[] {"localhost:" + server.getPort()});
    } finally {
      server.shutdownNow();
    }
    assertTrue(Files.size(Path.of("circle.safetensors")) > 8);
    for (int seed = 1; seed <= 4; seed++) {
      assertEquals("picture " + seed, Files.readString(Path.of("circle-" + seed + ".png")));
    }
  }

  private static final class Prior extends PriorServiceGrpc.PriorServiceImplBase {
    @Override
    public void prior(PriorRequest request, StreamObserver<PriorResponse> responses) {
      EmbeddingPair pair =
          EmbeddingPair.newBuilder().setPositive(Embeddings.of(new float[] {1, 2}, "f1")).build();
      EmbeddingResult result = EmbeddingResult.newBuilder().setEmbeddings(pair).build();
      Completed end = Completed.newBuilder().setEmbeddingCount(1).build();
      responses.onNext(response(Event.newBuilder().setEmbedding(result)));
      responses.onNext(response(Event.newBuilder().setCompleted(end)));
      responses.onCompleted();
    }

    private static PriorResponse response(Event.Builder event) {
      return PriorResponse.newBuilder().setEvent(event).build();
    }
  }

  private static final class Image extends ImageServiceGrpc.ImageServiceImplBase {
    @Override
    public void decode(DecodeRequest request, StreamObserver<DecodeResponse> responses) {
      int count = request.getSampling().getImageCount();
      for (int index = 0; index < count; index++) {
        long seed = request.getSampling().getSeed() + index;
        ByteString data = ByteString.copyFromUtf8("picture " + seed);
        ImageResult image =
            ImageResult.newBuilder()
                .setIndex(index)
                .setSizeBytes(data.size())
                .setData(data)
                .setReceipt(Receipt.newBuilder().setSeed(seed))
                .build();
        responses.onNext(response(Event.newBuilder().setImage(image)));
      }
      Completed end = Completed.newBuilder().setImageCount(count).build();
      responses.onNext(response(Event.newBuilder().setCompleted(end)));
      responses.onCompleted();
    }

    private static DecodeResponse response(Event.Builder event) {
      return DecodeResponse.newBuilder().setEvent(event).build();
    }
  }
}
