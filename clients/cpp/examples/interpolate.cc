// Walks from one text to another in five steps, and decodes each.

#include <kandinsky/client.h>

#include <exception>
#include <iostream>

#include "files.h"

namespace v1 = kandinsky::v1;

int main() try {
  kandinsky::Client client(target());

  v1::InterpolateRequest path;
  path.add_conditions()->set_text("a red cube");
  path.add_conditions()->set_text("a blue ball");
  for (int step = 0; step < 5; ++step) {
    v1::Weights& weights = *path.add_weights();
    weights.add_values(1.0 - step / 4.0);
    weights.add_values(step / 4.0);
  }
  path.mutable_sampling()->set_seed(7);

  for (const auto& embedding : client.interpolate(path).embeddings) {
    v1::DecodeRequest request;
    *request.add_embeddings() = embedding.embeddings();
    request.mutable_sampling()->set_seed(7);
    request.mutable_sampling()->set_width_px(64);
    request.mutable_sampling()->set_height_px(64);
    request.mutable_sampling()->set_step_count(10);
    const std::string name = "path-" + std::to_string(embedding.index() + 1) + ".png";
    write_file(name, client.decode(request).images.front().data());
    std::cout << name << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
