// Repaints the white part of a mask: inpaint IMAGE MASK.

#include <kandinsky/client.h>

#include <exception>
#include <iostream>

#include "files.h"

namespace v1 = kandinsky::v1;

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: inpaint IMAGE MASK\n";
    return 2;
  }
  kandinsky::Client client(target());

  v1::PriorRequest prior;
  prior.add_prompts("a yellow star");
  prior.mutable_sampling()->set_seed(7);

  v1::InpaintRequest request;
  *request.add_embeddings() = client.prior(prior).embeddings.front().embeddings();
  request.mutable_image()->set_data(read_file(argv[1]));
  request.mutable_mask()->set_data(read_file(argv[2]));
  request.mutable_sampling()->set_seed(7);
  request.mutable_sampling()->set_step_count(10);
  request.mutable_sampling()->set_width_px(64);
  request.mutable_sampling()->set_height_px(64);

  const kandinsky::Results results = client.inpaint(request);
  write_file("inpainted.png", results.images.front().data());
  for (const auto& warning : results.completed.warnings()) {
    std::cout << warning << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
