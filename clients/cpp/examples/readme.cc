#include <kandinsky/client.h>

#include <fstream>

int main() {
  kandinsky::Client client("localhost:50051");
  kandinsky::v1::GenerateRequest request;
  request.add_prompts("a large red circle on a blue background");
  request.mutable_sampling()->set_seed(7);
  for (const auto& image : client.generate(request).images) {
    std::ofstream("circle.png", std::ios::binary) << image.data();
  }
}
