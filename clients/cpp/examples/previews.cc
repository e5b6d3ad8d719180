// Shows a picture as it is made.

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
  request.mutable_sampling()->set_width_px(64);
  request.mutable_sampling()->set_height_px(64);
  request.mutable_sampling()->set_step_count(10);
  request.mutable_options()->set_preview_interval_steps(3);

  for (const kandinsky::Event& event : client.stream(request)) {
    if (const auto* progress = std::get_if<v1::Progress>(&event)) {
      std::cout << progress->stage() << ": step " << progress->step() << " of " << progress->step_count() << '\n';
    } else if (const auto* preview = std::get_if<v1::Preview>(&event)) {
      write_file("preview-" + std::to_string(preview->step()) + ".jpg", preview->data());
    } else if (const auto* image = std::get_if<v1::ImageResult>(&event)) {
      write_file("generated.png", image->data());
    }
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
