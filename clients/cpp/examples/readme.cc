// The example of README.md, which a test compares with this file.

#include <kandinsky/client.h>
#include <kandinsky/embedding_file.h>

#include <fstream>
#include <iostream>

int main() {
  kandinsky::Client client("localhost:50051");
  kandinsky::v1::GenerateRequest request;
  request.add_prompts("a large red circle on a blue background");
  request.mutable_sampling()->set_image_count(4);
  request.mutable_options()->set_preview_interval_steps(10);
  for (const kandinsky::Event& event : client.stream(request)) {
    if (const auto* image = std::get_if<kandinsky::v1::ImageResult>(&event)) {
      std::ofstream("circle-" + std::to_string(image->receipt().seed()) + ".png", std::ios::binary) << image->data();
    }
  }
}
