#include "assembly.h"

#include <kandinsky/embedding.h>
#include <kandinsky/error.h>

#include <stdexcept>
#include <utility>

namespace kandinsky {
namespace {

std::string count_of(std::size_t count) { return std::to_string(count); }

void check_embedding(const v1::Embedding& embedding) {
  try {
    to_floats(embedding);
  } catch (const std::invalid_argument& error) {
    throw IncompleteStreamError(std::string("the server sent a broken embedding: ") + error.what());
  }
}

}  // namespace

std::optional<Event> Assembly::receive(v1::Event message) {
  switch (message.kind_case()) {
    case v1::Event::kQueued:
      return std::move(*message.mutable_queued());
    case v1::Event::kProgress:
      return std::move(*message.mutable_progress());
    case v1::Event::kPreview:
      return std::move(*message.mutable_preview());
    case v1::Event::kEmbedding:
      return receive_embedding(std::move(*message.mutable_embedding()));
    case v1::Event::kImage:
      return receive_image(std::move(*message.mutable_image()));
    case v1::Event::kChunk:
      return receive_chunk(message.chunk());
    case v1::Event::kCompleted:
      completed_ = std::move(*message.mutable_completed());
      return std::nullopt;
    default:  // a kind of event that is newer than this client
      return std::nullopt;
  }
}

Event Assembly::receive_embedding(v1::EmbeddingResult embedding) {
  check_embedding(embedding.embeddings().positive());
  if (embedding.embeddings().has_negative()) {
    check_embedding(embedding.embeddings().negative());
  }
  embeddings_.insert(embedding.index());
  return embedding;
}

std::optional<Event> Assembly::receive_image(v1::ImageResult image) {
  const int index = image.index();
  const auto place = arriving_.insert_or_assign(index, Arriving{std::move(image)}).first;
  return place->second.image.chunk_count() > 0 ? std::nullopt : arrived(place);
}

std::optional<Event> Assembly::receive_chunk(const v1::ImageChunk& chunk) {
  const auto place = arriving_.find(chunk.index());
  const std::string name = "image " + std::to_string(chunk.index());
  if (place == arriving_.end()) {
    throw IncompleteStreamError("a chunk of " + name + " came without its header");
  }
  std::string& data = *place->second.image.mutable_data();
  if (chunk.offset_bytes() != static_cast<std::int64_t>(data.size())) {
    throw IncompleteStreamError(name + " misses bytes: its next should be " + count_of(data.size()) + ", not " +
                                std::to_string(chunk.offset_bytes()));
  }
  data += chunk.data();
  return ++place->second.chunk_count < place->second.image.chunk_count() ? std::nullopt : arrived(place);
}

std::optional<Event> Assembly::arrived(std::map<int, Arriving>::iterator place) {
  v1::ImageResult image = std::move(place->second.image);
  arriving_.erase(place);
  if (static_cast<std::int64_t>(image.data().size()) != image.size_bytes()) {
    throw IncompleteStreamError("image " + std::to_string(image.index()) + " has " + count_of(image.data().size()) +
                                " bytes of " + std::to_string(image.size_bytes()));
  }
  images_.insert(image.index());
  return image;
}

v1::Completed Assembly::finish() {
  if (!completed_) {
    throw IncompleteStreamError("the stream ended without `completed`: results may be missing");
  }
  const bool all_came = static_cast<std::size_t>(completed_->embedding_count()) == embeddings_.size() &&
                        static_cast<std::size_t>(completed_->image_count()) == images_.size() && arriving_.empty();
  if (!all_came) {
    throw IncompleteStreamError(std::to_string(completed_->embedding_count()) + " embeddings and " +
                                std::to_string(completed_->image_count()) + " images were sent, " +
                                count_of(embeddings_.size()) + " and " + count_of(images_.size()) + " arrived whole");
  }
  return std::move(*completed_);
}

}  // namespace kandinsky
