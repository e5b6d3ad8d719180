#include "cancellation.h"

namespace kandinsky {

void Cancellation::cancel() noexcept {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (context_ != nullptr) {
    context_->TryCancel();
  }
  changed_.notify_all();
}

void Cancellation::watch(grpc::ClientContext* context) {
  const std::lock_guard lock(mutex_);
  context_ = context;
  // A context that is cancelled before its call is started ends the call at once.
  if (cancelled_ && context_ != nullptr) {
    context_->TryCancel();
  }
}

bool Cancellation::cancelled() {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

bool Cancellation::wait(Seconds delay) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, delay, [this] { return cancelled_; });
}

}  // namespace kandinsky
