// Cancels a call at its first preview: leaving the loop destroys the stream, and that cancels the call.

#include <kandinsky/client.h>

#include <exception>
#include <iostream>

#include "files.h"

namespace v1 = kandinsky::v1;

int main() try {
  kandinsky::Client client(target());

  v1::GenerateRequest request;
  request.add_prompts("a green ball");
  request.mutable_sampling()->set_seed(7);
  request.mutable_sampling()->set_step_count(100);
  request.mutable_options()->set_preview_interval_steps(3);

  for (const kandinsky::Event& event : client.stream(request)) {
    if (const auto* preview = std::get_if<v1::Preview>(&event)) {
      std::cout << "cancelled after step " << preview->step() << '\n';
      break;
    }
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
