package io.github.kandinskygrpc;

import io.github.kandinskygrpc.api.v1.Checkpoint;
import io.github.kandinskygrpc.api.v1.Completed;
import io.github.kandinskygrpc.api.v1.DeliveredEmbedding;
import io.github.kandinskygrpc.api.v1.EmbeddingResult;
import io.github.kandinskygrpc.api.v1.ErrorReason;
import io.github.kandinskygrpc.api.v1.Event;
import io.github.kandinskygrpc.api.v1.Receipt;
import io.github.kandinskygrpc.api.v1.RequestOptions;
import io.github.kandinskygrpc.api.v1.Resume;
import java.util.LinkedHashMap;
import java.util.Map;

/** What the tries of one call have brought so far, for the next one to go on from. */
final class Resumption {
  /** How the server names what it does not go on from. */
  private static final String FIELD = "options.resume";

  private final Map<Trajectory, Checkpoint> checkpoints = new LinkedHashMap<>();
  private final Resume.Builder resume; // its checkpoints are those above
  private boolean asked; // whether the last try was asked to go on from somewhere
  private boolean progressed;
  private int embeddingCount;
  private int imageCount;

  /** Starts from what the caller kept of an earlier call, if anything. */
  Resumption(RequestOptions options) {
    asked = options.hasResume();
    resume = options.getResume().toBuilder();
    options.getResume().getCheckpointsList().forEach(this::keep);
  }

  /** Returns whether a new checkpoint or result has come since the last try began. */
  boolean progressed() {
    return progressed;
  }

  /** Keeps the newest of a trajectory. */
  void checkpoint(Checkpoint newest) {
    progressed |= keep(newest);
  }

  /**
   * Notes a result; returns whether the event is new to the caller: a server that does not know
   * {@code resume} sends again what an earlier try delivered.
   */
  boolean deliver(Event event) {
    if (event.hasEmbedding()) {
      EmbeddingResult result = event.getEmbedding();
      if (resume.getEmbeddingsList().stream().anyMatch(it -> it.getIndex() == result.getIndex())) {
        return false;
      }
      resume.addEmbeddings(
          DeliveredEmbedding.newBuilder()
              .setIndex(result.getIndex())
              .setEmbeddings(result.getEmbeddings()));
      embeddingCount++;
      deliver(result.getReceipt());
    } else if (event.hasImage()) {
      if (resume.getImageIndicesList().contains(event.getImage().getIndex())) {
        return false;
      }
      resume.addImageIndices(event.getImage().getIndex());
      imageCount++;
      deliver(event.getImage().getReceipt());
    }
    return true;
  }

  private void deliver(Receipt receipt) {
    if (!receipt.getFingerprint().isEmpty()) {
      resume.putStageFingerprints(receipt.getStage(), receipt.getFingerprint());
    }
    progressed = true;
  }

  /** Returns the end of the last try with the counts of all. */
  Completed total(Completed last) {
    return last.toBuilder().setEmbeddingCount(embeddingCount).setImageCount(imageCount).build();
  }

  /** Returns the options of the next try, which goes on from here. */
  RequestOptions next(RequestOptions options) {
    progressed = false;
    Resume here = resume.clearCheckpoints().addAllCheckpoints(checkpoints.values()).build();
    asked = !here.equals(Resume.getDefaultInstance());
    RequestOptions.Builder next = options.toBuilder().clearResume();
    return asked ? next.setResume(here).build() : next.build();
  }

  /**
   * Begins anew if {@code error} is the refusal of a replica that cannot go on from here; returns
   * whether it is. Once a result was delivered there is no way back: the rest would be of another
   * model.
   */
  boolean forget(RpcException error) {
    boolean begun = resume.getEmbeddingsCount() + resume.getImageIndicesCount() > 0;
    if (!asked || begun || !refusesResume(error)) {
      return false;
    }
    checkpoints.clear();
    return true;
  }

  /** Returns whether it is the newest: a server that does not go on from it repeats older ones. */
  private boolean keep(Checkpoint newest) {
    Trajectory trajectory = new Trajectory(newest.getStage(), newest.getIndex());
    Checkpoint kept = checkpoints.get(trajectory);
    if (kept != null && kept.getStep() >= newest.getStep()) {
      return false;
    }
    checkpoints.put(trajectory, newest);
    return true;
  }

  private static boolean refusesResume(RpcException error) {
    if (error.errorReason() == ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH) {
      return true;
    }
    return error.errorReason() == ErrorReason.ERROR_REASON_INVALID_FIELD
        && error.fieldViolations().stream()
            .anyMatch(violation -> violation.field().startsWith(FIELD));
  }

  /** What checkpoints are of. */
  private record Trajectory(String stage, int index) {}
}
