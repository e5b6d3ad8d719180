// Tells what a full queue says. The client would try again by itself; here it may not.

#include <kandinsky/client.h>
#include <kandinsky/embedding.h>

#include <exception>
#include <iomanip>
#include <iostream>

#include "files.h"

namespace v1 = kandinsky::v1;

int main() try {
  kandinsky::ClientOptions options;
  options.retries = 0;
  kandinsky::Client client(target(), options);

  // Any numbers will do: the queue is looked at before they are.
  v1::DecodeRequest request;
  *request.add_embeddings()->mutable_positive() = kandinsky::make_embedding(std::vector<float>(1280));
  request.mutable_sampling()->set_guidance_scale(1.0);

  try {
    client.decode(request);
    std::cout << "the queue had room\n";
  } catch (const kandinsky::RpcError& error) {
    if (!error.is(v1::ERROR_REASON_QUEUE_FULL)) {
      throw;
    }
    std::cout << "the queue is full: try again in " << std::fixed << std::setprecision(1)
              << error.retry_delay().value_or(kandinsky::Seconds(0)).count() << " s\n";
    for (const auto& [name, value] : error.metadata()) {
      std::cout << name << ": " << value << '\n';
    }
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
