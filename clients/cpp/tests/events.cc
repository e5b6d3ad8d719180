#include "events.h"

#include <kandinsky/embedding.h>

v1::Event queued(int position) {
  v1::Event event;
  event.mutable_queued()->set_position(position);
  event.mutable_queued()->set_request_id("request-1");
  return event;
}

v1::Event progress(int step) {
  v1::Event event;
  event.mutable_progress()->set_step(step);
  return event;
}

v1::Event embedding(int index, const std::vector<float>& values) {
  v1::Event event;
  event.mutable_embedding()->set_index(index);
  *event.mutable_embedding()->mutable_embeddings()->mutable_positive() = kandinsky::make_embedding(values, "prior-1");
  return event;
}

v1::Event image(int index, const std::string& data) {
  v1::Event event = image_header(index, static_cast<int>(data.size()), 0);
  event.mutable_image()->set_data(data);
  return event;
}

v1::Event image_header(int index, int size, int chunk_count) {
  v1::Event event;
  event.mutable_image()->set_index(index);
  event.mutable_image()->set_size_bytes(size);
  event.mutable_image()->set_chunk_count(chunk_count);
  return event;
}

v1::Event chunk(int index, int offset, const std::string& data) {
  v1::Event event;
  event.mutable_chunk()->set_index(index);
  event.mutable_chunk()->set_offset_bytes(offset);
  event.mutable_chunk()->set_data(data);
  return event;
}

v1::Event checkpoint(const std::string& stage, int index, int step) {
  v1::Event event;
  event.mutable_checkpoint()->set_stage(stage);
  event.mutable_checkpoint()->set_index(index);
  event.mutable_checkpoint()->set_step(step);
  event.mutable_checkpoint()->set_latents("latents of step " + std::to_string(step));
  return event;
}

v1::Event completed(int embedding_count, int image_count) {
  v1::Event event;
  event.mutable_completed()->set_embedding_count(embedding_count);
  event.mutable_completed()->set_image_count(image_count);
  return event;
}

v1::Event unknown_event() {
  v1::Event event;
  event.ParseFromString("\xfa\x01\x02\x08\x07");  // field 31
  return event;
}
