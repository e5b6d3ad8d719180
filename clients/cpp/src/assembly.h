// From response messages to events.
#pragma once

#include <kandinsky/event.h>

#include <map>
#include <optional>
#include <set>
#include <string>

namespace kandinsky {

// Turns the messages of one stream into events, joins chunks, and checks that all of it came.
class Assembly {
 public:
  // Returns the event that one message completes, if any. `Completed` is held back until `finish`, when the status is
  // known to be OK. Throws IncompleteStreamError when an image or embedding does not add up.
  std::optional<Event> receive(v1::Event message);

  // Returns the end of a stream that ended with status OK. Throws IncompleteStreamError when it did not say
  // `completed`, or when less came than it says.
  v1::Completed finish();

 private:
  struct Arriving {
    v1::ImageResult image;
    int chunk_count = 0;
  };

  Event receive_embedding(v1::EmbeddingResult embedding);
  std::optional<Event> receive_image(v1::ImageResult image);
  std::optional<Event> receive_chunk(const v1::ImageChunk& chunk);
  std::optional<Event> arrived(std::map<int, Arriving>::iterator place);

  std::set<int> embeddings_;
  std::set<int> images_;
  std::map<int, Arriving> arriving_;
  std::optional<v1::Completed> completed_;
};

}  // namespace kandinsky
