// Uses the installed package: makes an embedding, keeps it, and asks a server that is not there.

#include <kandinsky/client.h>
#include <kandinsky/embedding.h>
#include <kandinsky/embedding_file.h>

#include <iostream>

int main() {
  kandinsky::v1::EmbeddingResult made;
  *made.mutable_embeddings()->mutable_positive() = kandinsky::make_embedding({1.0F, 2.0F}, "prior");
  kandinsky::save_embeddings("consumer.safetensors", {made});
  if (kandinsky::load_embeddings("consumer.safetensors").size() != 1) {
    return 1;
  }
  kandinsky::ClientOptions options;
  options.retries = 0;
  kandinsky::Client client("localhost:1", options);
  try {
    client.info();
  } catch (const kandinsky::RpcError& error) {
    std::cout << error.what() << '\n';
    return error.code() == grpc::StatusCode::UNAVAILABLE ? 0 : 1;
  }
  return 1;
}
