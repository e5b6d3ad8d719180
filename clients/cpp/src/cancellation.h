// Cancels one call over all its tries.
#pragma once

#include <grpcpp/client_context.h>
#include <kandinsky/options.h>

#include <condition_variable>
#include <mutex>

namespace kandinsky {

class Cancellation {
 public:
  // Cancels the try that runs, ends a wait, and makes later tries fail. Any thread may call it.
  void cancel() noexcept;

  // Names the try that `cancel` is to end, before it is started; null when it is over.
  void watch(grpc::ClientContext* context);

  // Whether `cancel` was called.
  bool cancelled();

  // Waits; returns whether the call was cancelled, as soon as it is.
  bool wait(Seconds delay);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool cancelled_ = false;
  grpc::ClientContext* context_ = nullptr;
};

}  // namespace kandinsky
