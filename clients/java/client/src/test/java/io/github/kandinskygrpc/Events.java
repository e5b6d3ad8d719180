package io.github.kandinskygrpc;

import com.google.protobuf.ByteString;
import io.github.kandinskygrpc.api.v1.Checkpoint;
import io.github.kandinskygrpc.api.v1.Completed;
import io.github.kandinskygrpc.api.v1.EmbeddingPair;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.ImageChunk;
import io.github.kandinskygrpc.api.v1.ImageResult;
import io.github.kandinskygrpc.api.v1.Progress;
import io.github.kandinskygrpc.api.v1.Queued;

/** Events as a server sends them. */
final class Events {
  static final Event QUEUED = Event.newBuilder().setQueued(Queued.newBuilder().setSeed(7)).build();

  private Events() {}

  static Event progress(int step) {
    return Event.newBuilder()
        .setProgress(Progress.newBuilder().setStage("prior").setStep(step).setStepCount(25))
        .build();
  }

  static Event checkpoint(String stage, int index, int step) {
    return Event.newBuilder()
        .setCheckpoint(
            Checkpoint.newBuilder()
                .setVersion(1)
                .setStage(stage)
                .setIndex(index)
                .setStep(step)
                .setLatents(ByteString.copyFromUtf8("step " + step)))
        .build();
  }

  static Event embedding(int index, float... values) {
    return Event.newBuilder()
        .setEmbedding(
            EmbeddingResult.newBuilder()
                .setIndex(index)
                .setEmbeddings(
                    EmbeddingPair.newBuilder()
                        .setPositive(Embeddings.of(values, "f1"))
                        .setNegative(Embeddings.of(values, "f1"))))
        .build();
  }

  static Event image(int index, String data) {
    return image(index, data, data.length(), 0);
  }

  /** Announces an image whose bytes come, all or some, in chunks. */
  static Event image(int index, String data, int sizeBytes, int chunkCount) {
    return Event.newBuilder()
        .setImage(
            ImageResult.newBuilder()
                .setIndex(index)
                .setData(ByteString.copyFromUtf8(data))
                .setSizeBytes(sizeBytes)
                .setChunkCount(chunkCount))
        .build();
  }

  static Event chunk(int index, int offset, String data) {
    return Event.newBuilder()
        .setChunk(
            ImageChunk.newBuilder()
                .setIndex(index)
                .setOffsetBytes(offset)
                .setData(ByteString.copyFromUtf8(data)))
        .build();
  }

  static Event completed(int embeddings, int images) {
    return Event.newBuilder()
        .setCompleted(
            Completed.newBuilder().setEmbeddingCount(embeddings).setImageCount(images).setSeed(7))
        .build();
  }
}
