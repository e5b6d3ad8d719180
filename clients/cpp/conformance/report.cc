#include "report.h"

#include <kandinsky/embedding.h>

#include "encoding.h"

namespace v1 = kandinsky::v1;

namespace {

std::string digest(const v1::Embedding& embedding) {
  return sha256(kandinsky::make_embedding(kandinsky::to_floats(embedding)).data());
}

std::string add(const v1::Queued& queued, Json& report) {
  report["queued"] = {{"position", queued.position()},
                      {"request_id", queued.request_id()},
                      {"seed", queued.seed()},
                      {"trajectory_count", queued.trajectory_count()}};
  return "queued";
}

std::string add(const v1::Progress& progress, Json& report) {
  report["progress"].push_back({progress.stage(), progress.index(), progress.step(), progress.step_count()});
  return "progress";
}

std::string add(const v1::Preview& preview, Json& report) {
  report["previews"].push_back({{"index", preview.index()},
                                {"step", preview.step()},
                                {"step_count", preview.step_count()},
                                {"format", preview.format()},
                                {"sha256", sha256(preview.data())}});
  return "preview";
}

std::string add(const v1::EmbeddingResult& embedding, Json& report) {
  report_embedding(embedding, report);
  return "embedding";
}

std::string add(const v1::ImageResult& image, Json& report) {
  report["images"].push_back({{"index", image.index()},
                              {"source_index", image.source_index()},
                              {"format", image.format()},
                              {"width_px", image.width_px()},
                              {"height_px", image.height_px()},
                              {"size_bytes", image.data().size()},
                              {"sha256", sha256(image.data())},
                              {"seed", image.receipt().seed()}});
  return "image";
}

std::string add(const v1::Completed& completed, Json& report) {
  report["completed"] = {{"embedding_count", completed.embedding_count()},
                         {"image_count", completed.image_count()},
                         {"step_count", completed.step_count()},
                         {"seed", completed.seed()},
                         {"warnings", Json::array()}};
  for (const auto& warning : completed.warnings()) {
    report["completed"]["warnings"].push_back(warning);
  }
  return "completed";
}

}  // namespace

std::string report_event(const kandinsky::Event& event, Json& report) {
  return std::visit([&](const auto& kind) { return add(kind, report); }, event);
}

void report_embedding(const v1::EmbeddingResult& embedding, Json& report) {
  const v1::EmbeddingPair& pair = embedding.embeddings();
  const auto values = kandinsky::to_floats(pair.positive());
  Json reported = {{"index", embedding.index()},
                   {"source_index", embedding.source_index()},
                   {"fingerprint", pair.positive().prior_fingerprint()},
                   {"width", values.size()},
                   {"positive_sha256", digest(pair.positive())},
                   {"first", values.front()}};
  if (pair.has_negative()) {
    reported["negative_sha256"] = digest(pair.negative());
  }
  report["embeddings"].push_back(std::move(reported));
}

Json rpc_error(const kandinsky::RpcError& error) {
  Json reported = {{"kind", "rpc"},
                   {"code", error.code_name()},
                   {"reason", error.reason()},
                   {"metadata", error.metadata()},
                   {"violations", Json::array()},
                   {"retry_delay_seconds", nullptr},
                   {"request_id", error.request_id()}};
  for (const auto& violation : error.field_violations()) {
    reported["violations"].push_back({violation.field, violation.description});
  }
  if (const auto delay = error.retry_delay()) {
    reported["retry_delay_seconds"] = delay->count();
  }
  return reported;
}
