#include "fake_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <thread>
#include <utility>

namespace {

template <class Response>
std::function<bool(const v1::Event&)> writer(grpc::ServerWriter<Response>* stream) {
  return [stream](const v1::Event& event) {
    Response response;
    *response.mutable_event() = event;
    return stream->Write(response);
  };
}

}  // namespace

class FakeServer::PriorCalls final : public v1::PriorService::Service {
 public:
  explicit PriorCalls(FakeServer& server) : server_(server) {}
  grpc::Status Prior(grpc::ServerContext* context, const v1::PriorRequest* request,
                     grpc::ServerWriter<v1::PriorResponse>* stream) override {
    return server_.serve("Prior", *request, *context, writer(stream));
  }
  grpc::Status Interpolate(grpc::ServerContext* context, const v1::InterpolateRequest* request,
                           grpc::ServerWriter<v1::InterpolateResponse>* stream) override {
    return server_.serve("Interpolate", *request, *context, writer(stream));
  }

 private:
  FakeServer& server_;
};

class FakeServer::ImageCalls final : public v1::ImageService::Service {
 public:
  explicit ImageCalls(FakeServer& server) : server_(server) {}
  grpc::Status Decode(grpc::ServerContext* context, const v1::DecodeRequest* request,
                      grpc::ServerWriter<v1::DecodeResponse>* stream) override {
    return server_.serve("Decode", *request, *context, writer(stream));
  }
  grpc::Status Img2Img(grpc::ServerContext* context, const v1::Img2ImgRequest* request,
                       grpc::ServerWriter<v1::Img2ImgResponse>* stream) override {
    return server_.serve("Img2Img", *request, *context, writer(stream));
  }
  grpc::Status Inpaint(grpc::ServerContext* context, const v1::InpaintRequest* request,
                       grpc::ServerWriter<v1::InpaintResponse>* stream) override {
    return server_.serve("Inpaint", *request, *context, writer(stream));
  }
  grpc::Status ControlNet(grpc::ServerContext* context, const v1::ControlNetRequest* request,
                          grpc::ServerWriter<v1::ControlNetResponse>* stream) override {
    return server_.serve("ControlNet", *request, *context, writer(stream));
  }
  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        grpc::ServerWriter<v1::GenerateResponse>* stream) override {
    return server_.serve("Generate", *request, *context, writer(stream));
  }

 private:
  FakeServer& server_;
};

class FakeServer::ServerCalls final : public v1::ServerService::Service {
 public:
  explicit ServerCalls(FakeServer& server) : server_(server) {}
  grpc::Status GetServerInfo(grpc::ServerContext* context, const v1::GetServerInfoRequest* request,
                             v1::GetServerInfoResponse* response) override {
    response->set_model("toy");
    return server_.serve("GetServerInfo", *request, *context, [](const v1::Event&) { return false; });
  }
  grpc::Status Estimate(grpc::ServerContext* context, const v1::EstimateRequest* request,
                        v1::EstimateResponse* response) override {
    response->set_step_count(50);
    return server_.serve("Estimate", *request, *context, [](const v1::Event&) { return false; });
  }

 private:
  FakeServer& server_;
};

FakeServer::FakeServer(Script script, std::shared_ptr<grpc::ServerCredentials> credentials)
    : script_(std::move(script)),
      prior_(std::make_unique<PriorCalls>(*this)),
      image_(std::make_unique<ImageCalls>(*this)),
      info_(std::make_unique<ServerCalls>(*this)) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("localhost:0", credentials ? credentials : grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(prior_.get());
  builder.RegisterService(image_.get());
  builder.RegisterService(info_.get());
  server_ = builder.BuildAndStart();
  server_->GetHealthCheckService()->SetServingStatus("kandinsky_api.v1.ImageService", false);
}

FakeServer::~FakeServer() { server_->Shutdown(std::chrono::system_clock::now()); }

std::vector<Arrived> FakeServer::arrived() const {
  const std::lock_guard lock(mutex_);
  return arrived_;
}

grpc::Status FakeServer::serve(const std::string& rpc, const google::protobuf::Message& request,
                               grpc::ServerContext& context, std::function<bool(const v1::Event&)> write) {
  Arrived arrived{rpc, request.SerializeAsString(), {}};
  for (const auto& [key, value] : context.client_metadata()) {
    arrived.metadata.emplace(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
  }
  int number = 0;
  {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(arrived);
    number = static_cast<int>(arrived_.size());
  }
  ServerCall call{rpc, arrived.request, number, context, std::move(write)};
  return script_(call);
}

grpc::Status send(ServerCall& call, const std::vector<v1::Event>& events) {
  for (const auto& event : events) {
    call.write(event);
  }
  return grpc::Status::OK;
}

bool wait_for_cancel(const ServerCall& call) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!call.context.IsCancelled() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return call.context.IsCancelled();
}

v1::DecodeRequest decode_request() {
  v1::DecodeRequest request;
  request.mutable_sampling()->set_width_px(64);
  return request;
}

v1::PriorRequest prior_request() {
  v1::PriorRequest request;
  request.add_prompts("a red cube");
  return request;
}
