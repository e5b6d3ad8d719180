// What the tries of one call have brought so far, for the next one to go on from.
#pragma once

#include <kandinsky/error.h>
#include <kandinsky/event.h>

namespace kandinsky {

// Collects checkpoints and results, and puts them into the request before it is sent again.
class Resumption {
 public:
  // For the request with these options, which are this class's to change; they outlive it.
  explicit Resumption(v1::RequestOptions& options);

  // Keeps the newest of a trajectory. A server that does not go on from it comes through older ones again.
  void checkpoint(v1::Checkpoint newest);

  // Notes a result; false when the caller has it from an earlier try. All other events are new.
  bool deliver(const Event& event);

  // Returns the end of the last try, with what all of them delivered.
  [[nodiscard]] v1::Completed total(v1::Completed completed) const;

  // Has the next try go on from here. Returns whether the last one brought anything new.
  bool write();

  // Has the next try begin anew if the error is the refusal of a replica that cannot go on from here; returns whether
  // it is. Once a result has been delivered there is no way back: the rest would be of another model.
  bool forget(const RpcError& error);

 private:
  // Notes which stage made a result.
  void made_by(const v1::Receipt& receipt);

  v1::RequestOptions& options_;
  v1::Resume resume_;  // starts from the caller's own, of an earlier call, if there is one
  int embedding_count_ = 0;
  int image_count_ = 0;
  bool progressed_ = false;  // whether anything new has come since the last try
};

}  // namespace kandinsky
