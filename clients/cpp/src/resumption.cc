#include "resumption.h"

#include <algorithm>
#include <utility>

namespace kandinsky {
namespace {

bool starts_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

bool refuses(const RpcError& error) {
  if (error.is(v1::ERROR_REASON_FINGERPRINT_MISMATCH)) {
    return true;
  }
  const auto& violations = error.field_violations();
  return error.is(v1::ERROR_REASON_INVALID_FIELD) &&
         std::any_of(violations.begin(), violations.end(),
                     [](const FieldViolation& violation) { return starts_with(violation.field, "options.resume"); });
}

}  // namespace

Resumption::Resumption(v1::RequestOptions& options) : options_(options), resume_(options.resume()) {}

void Resumption::checkpoint(v1::Checkpoint newest) {
  auto& checkpoints = *resume_.mutable_checkpoints();
  const auto kept = std::find_if(checkpoints.begin(), checkpoints.end(), [&](const v1::Checkpoint& each) {
    return each.stage() == newest.stage() && each.index() == newest.index();
  });
  if (kept != checkpoints.end() && kept->step() >= newest.step()) {
    return;
  }
  (kept == checkpoints.end() ? *checkpoints.Add() : *kept) = std::move(newest);
  progressed_ = true;
}

bool Resumption::deliver(const Event& event) {
  if (const auto* embedding = std::get_if<v1::EmbeddingResult>(&event)) {
    const auto& embeddings = resume_.embeddings();
    if (std::any_of(embeddings.begin(), embeddings.end(),
                    [&](const v1::DeliveredEmbedding& delivered) { return delivered.index() == embedding->index(); })) {
      return false;
    }
    v1::DeliveredEmbedding& delivered = *resume_.add_embeddings();
    delivered.set_index(embedding->index());
    *delivered.mutable_embeddings() = embedding->embeddings();
    ++embedding_count_;
    made_by(embedding->receipt());
  } else if (const auto* image = std::get_if<v1::ImageResult>(&event)) {
    const auto& indices = resume_.image_indices();
    if (std::find(indices.begin(), indices.end(), image->index()) != indices.end()) {
      return false;
    }
    resume_.add_image_indices(image->index());
    ++image_count_;
    made_by(image->receipt());
  }
  return true;
}

void Resumption::made_by(const v1::Receipt& receipt) {
  if (!receipt.fingerprint().empty()) {
    (*resume_.mutable_stage_fingerprints())[receipt.stage()] = receipt.fingerprint();
  }
  progressed_ = true;
}

v1::Completed Resumption::total(v1::Completed completed) const {
  completed.set_embedding_count(embedding_count_);
  completed.set_image_count(image_count_);
  return completed;
}

bool Resumption::write() {
  if (!progressed_) {
    return false;
  }
  *options_.mutable_resume() = resume_;
  progressed_ = false;
  return true;
}

bool Resumption::forget(const RpcError& error) {
  const bool delivered = resume_.embeddings_size() + resume_.image_indices_size() > 0;
  if (!options_.has_resume() || delivered || !refuses(error)) {
    return false;
  }
  options_.clear_resume();
  resume_.Clear();
  progressed_ = false;
  return true;
}

}  // namespace kandinsky
