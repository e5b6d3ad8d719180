// Makes one embedding, keeps it, and decodes it four times.

#include <kandinsky/client.h>
#include <kandinsky/embedding_file.h>

#include <exception>
#include <iostream>

#include "files.h"

namespace v1 = kandinsky::v1;

int main() try {
  kandinsky::Client client(target());

  v1::PriorRequest prior;
  prior.add_prompts("a red cube on a blue table");
  prior.mutable_sampling()->set_seed(7);
  const kandinsky::Results cube = client.prior(prior);
  kandinsky::save_embeddings("embedding.safetensors", cube.embeddings);

  v1::DecodeRequest decode;
  *decode.add_embeddings() = cube.embeddings.front().embeddings();
  decode.mutable_sampling()->set_width_px(64);
  decode.mutable_sampling()->set_height_px(64);
  decode.mutable_sampling()->set_step_count(10);
  for (int seed = 1; seed <= 4; ++seed) {
    decode.mutable_sampling()->set_seed(seed);
    const std::string path = "decoded-" + std::to_string(seed) + ".png";
    write_file(path, client.decode(decode).images.front().data());
    std::cout << path << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
