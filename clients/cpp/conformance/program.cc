#include "program.h"

#include <kandinsky/embedding_file.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "encoding.h"

namespace v1 = kandinsky::v1;

namespace {

kandinsky::ClientOptions client_options(const Json& given) {
  kandinsky::ClientOptions options;
  if (given.contains("tls")) {
    const Json& tls = given["tls"];
    options.tls =
        kandinsky::TlsOptions::from_files(tls.value("ca", ""), tls.value("certificate", ""), tls.value("key", ""));
  }
  options.token = given.value("token", "");
  options.retries = given.value("retries", options.retries);
  const Json metadata = given.value("metadata", Json::object());  // items() refers to it
  for (const auto& [key, value] : metadata.items()) {
    options.metadata.emplace_back(key, value.get<std::string>());
  }
  return options;
}

kandinsky::CallOptions call_options(const Json& given) {
  kandinsky::CallOptions options;
  if (given.contains("timeout_seconds")) {
    const Json& timeout = given["timeout_seconds"];
    options.timeout =
        kandinsky::Seconds(timeout.is_number() ? timeout.get<double>() : std::numeric_limits<double>::infinity());
  }
  return options;
}

// Cancels a stream after a time, unless it is destroyed before.
class LateCancel {
 public:
  LateCancel(kandinsky::EventStream& stream, kandinsky::Seconds delay)
      : thread_([this, &stream, delay] {
          std::unique_lock lock(mutex_);
          if (!ended_.wait_for(lock, delay, [this] { return over_; })) {
            cancelled_ = true;
            stream.cancel();
          }
        }) {}
  LateCancel(const LateCancel&) = delete;
  LateCancel& operator=(const LateCancel&) = delete;
  ~LateCancel() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    ended_.notify_all();
    thread_.join();
  }

  bool cancelled() {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool over_ = false;
  bool cancelled_ = false;
  std::thread thread_;
};

void read_events(const Json& given, kandinsky::EventStream& stream, Json& report,
                 std::vector<v1::EmbeddingResult>& embeddings) {
  const std::string cancel_on = given.value("cancel_on", "");
  for (const kandinsky::Event& event : stream) {
    const std::string kind = report_event(event, report);
    report["events"].push_back(kind);
    if (const auto* embedding = std::get_if<v1::EmbeddingResult>(&event)) {
      embeddings.push_back(*embedding);
    }
    if (kind == cancel_on) {
      report["cancelled"] = true;
      return;  // leaving the loop, and then the stream's scope, is how a call is cancelled
    }
  }
}

template <class Request>
Request parsed(const std::string& bytes) {
  Request request;
  if (!request.ParseFromString(bytes)) {
    throw std::invalid_argument("the case's message cannot be parsed");
  }
  return request;
}

template <class Request>
void add_embeddings(const std::vector<v1::EmbeddingResult>&, Request&, long) {}
template <class Request>
auto add_embeddings(const std::vector<v1::EmbeddingResult>& embeddings, Request& request, int)
    -> decltype(request.add_embeddings(), void()) {
  for (const auto& embedding : embeddings) {
    *request.add_embeddings() = embedding.embeddings();
  }
}

template <class Request>
void stream(kandinsky::Client& client, const Json& given, Json& report) {
  auto request = parsed<Request>(from_base64(given.at("request")));
  if (given.contains("embeddings_file")) {
    add_embeddings(kandinsky::load_embeddings(given["embeddings_file"].get<std::string>()), request, 0);
  }
  std::vector<v1::EmbeddingResult> embeddings;
  kandinsky::EventStream events = client.stream(std::move(request), call_options(given));
  std::optional<LateCancel> late;
  if (given.contains("cancel_after_seconds")) {
    late.emplace(events, kandinsky::Seconds(given["cancel_after_seconds"].get<double>()));
  }
  try {
    read_events(given, events, report, embeddings);
  } catch (const kandinsky::RpcError& error) {
    if (!late || !late->cancelled() || error.code() != grpc::StatusCode::CANCELLED) {
      throw;
    }
    report["cancelled"] = true;
  }
  if (given.contains("save_file") && !embeddings.empty()) {
    kandinsky::save_embeddings(given["save_file"].get<std::string>(), embeddings);
  }
}

void embedding_file(const Json& given, Json& report) {
  const auto embeddings = kandinsky::load_embeddings(given.at("embeddings_file").get<std::string>());
  for (const auto& embedding : embeddings) {
    report_embedding(embedding, report);
  }
  if (given.contains("save_file")) {
    kandinsky::save_embeddings(given["save_file"].get<std::string>(), embeddings);
  }
}

void embed_image(kandinsky::Client& client, const Json& given, Json& report) {
  const auto embedding = client.embed_image(from_base64(given.at("image")), call_options(given));
  report_embedding(embedding, report);
  if (given.contains("save_file")) {
    kandinsky::save_embeddings(given["save_file"].get<std::string>(), {embedding});
  }
}

void round_trip(const Json& given, Json& report) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  const auto* type = pool->FindMessageTypeByName("kandinsky_api.v1." + given.at("type").get<std::string>());
  if (type == nullptr) {
    throw std::invalid_argument("no such message");
  }
  const std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  message->ParseFromString(from_base64(given.at("message")));
  report["message"] = to_base64(message->SerializeAsString());
}

std::string name_of(kandinsky::Health health) {
  switch (health) {
    case kandinsky::Health::serving:
      return "serving";
    case kandinsky::Health::not_serving:
      return "not_serving";
    case kandinsky::Health::service_unknown:
      return "service_unknown";
    default:
      return "unknown";
  }
}

using Call = std::function<void(kandinsky::Client&, const Json&, Json&)>;

const std::map<std::string, Call>& calls() {
  static const std::map<std::string, Call> table = {
      {"prior", stream<v1::PriorRequest>},
      {"interpolate", stream<v1::InterpolateRequest>},
      {"decode", stream<v1::DecodeRequest>},
      {"img2img", stream<v1::Img2ImgRequest>},
      {"inpaint", stream<v1::InpaintRequest>},
      {"controlnet", stream<v1::ControlNetRequest>},
      {"generate", stream<v1::GenerateRequest>},
      {"embed_image", embed_image},
      {"embedding_file", [](auto&, const Json& given, Json& report) { embedding_file(given, report); }},
      {"round_trip", [](auto&, const Json& given, Json& report) { round_trip(given, report); }},
      {"estimate",
       [](auto& client, const Json& given, Json& report) {
         const auto request = parsed<v1::EstimateRequest>(from_base64(given.at("request")));
         report["estimate"] = to_base64(client.estimate(request, call_options(given)).SerializeAsString());
       }},
      {"info", [](auto& client, const Json& given,
                  Json& report) { report["info"] = to_base64(client.info(call_options(given)).SerializeAsString()); }},
      {"health",
       [](auto& client, const Json& given, Json& report) {
         report["health"] = name_of(client.health(given.value("service", ""), call_options(given)));
       }},
  };
  return table;
}

void call(kandinsky::Client& client, const Json& given, Json& report) {
  try {
    calls().at(given.at("call"))(client, given, report);
  } catch (const kandinsky::RpcError& error) {
    report["error"] = rpc_error(error);
  } catch (const kandinsky::IncompleteStreamError&) {
    report["error"] = {{"kind", "incomplete_stream"}};
  } catch (const kandinsky::EmbeddingFileError&) {
    report["error"] = {{"kind", "embedding_file"}};
  } catch (const std::invalid_argument&) {
    report["error"] = {{"kind", "argument"}};
  }
}

}  // namespace

Json run_case(const Json& given) {
  Json report = {{"case", given.at("case")}};
  try {
    kandinsky::Client client(given.value("target", "localhost:50051"), client_options(given));
    const auto begin = std::chrono::steady_clock::now();
    call(client, given, report);
    report["elapsed_seconds"] = kandinsky::Seconds(std::chrono::steady_clock::now() - begin).count();
    std::this_thread::sleep_for(kandinsky::Seconds(given.value("linger_seconds", 0.0)));
  } catch (const std::invalid_argument&) {
    report["error"] = {{"kind", "argument"}};
  }
  return report;
}
