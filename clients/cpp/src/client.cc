#include <grpcpp/generic/generic_stub.h>
#include <google/protobuf/wrappers.pb.h>
#include <kandinsky/client.h>

#include <algorithm>
#include <random>
#include <utility>

#include "attempt.h"
#include "call_metadata.h"
#include "connection.h"
#include "event_stream_impl.h"
#include "status.h"

namespace kandinsky {
namespace {

constexpr Seconds kHealthTimeout{5.0};

// Which RPC takes which request.
using Queue = grpc::CompletionQueue;
auto prepare(Connection& to, grpc::ClientContext* context, const v1::PriorRequest& request, Queue* queue) {
  return to.prior().PrepareAsyncPrior(context, request, queue);
}
auto prepare(Connection& to, grpc::ClientContext* context, const v1::InterpolateRequest& request, Queue* queue) {
  return to.prior().PrepareAsyncInterpolate(context, request, queue);
}
auto prepare(Connection& to, grpc::ClientContext* context, const v1::DecodeRequest& request, Queue* queue) {
  return to.image().PrepareAsyncDecode(context, request, queue);
}
auto prepare(Connection& to, grpc::ClientContext* context, const v1::Img2ImgRequest& request, Queue* queue) {
  return to.image().PrepareAsyncImg2Img(context, request, queue);
}
auto prepare(Connection& to, grpc::ClientContext* context, const v1::InpaintRequest& request, Queue* queue) {
  return to.image().PrepareAsyncInpaint(context, request, queue);
}
auto prepare(Connection& to, grpc::ClientContext* context, const v1::ControlNetRequest& request, Queue* queue) {
  return to.image().PrepareAsyncControlNet(context, request, queue);
}
auto prepare(Connection& to, grpc::ClientContext* context, const v1::GenerateRequest& request, Queue* queue) {
  return to.image().PrepareAsyncGenerate(context, request, queue);
}

std::int64_t draw_seed() {
  std::random_device device;
  return std::uniform_int_distribution<std::int64_t>(0, 0xffffffff)(device);
}

// Sets what the caller left unset: the client's priority, and a seed. The seed is drawn here and not by the server, so
// that a call that is tried again is the same call.
template <class Request>
void fill(Request& request, v1::Priority priority) {
  if (!request.sampling().has_seed()) {
    request.mutable_sampling()->set_seed(draw_seed());
  }
  if (request.options().priority() == v1::PRIORITY_UNSPECIFIED) {
    request.mutable_options()->set_priority(priority);
  }
}

void fill_estimated(v1::EstimateRequest& request, v1::Priority priority) {
  switch (request.request_case()) {
    case v1::EstimateRequest::kPrior:
      return fill(*request.mutable_prior(), priority);
    case v1::EstimateRequest::kInterpolate:
      return fill(*request.mutable_interpolate(), priority);
    case v1::EstimateRequest::kDecode:
      return fill(*request.mutable_decode(), priority);
    case v1::EstimateRequest::kImg2Img:
      return fill(*request.mutable_img2img(), priority);
    case v1::EstimateRequest::kInpaint:
      return fill(*request.mutable_inpaint(), priority);
    case v1::EstimateRequest::kControlnet:
      return fill(*request.mutable_controlnet(), priority);
    case v1::EstimateRequest::kGenerate:
      return fill(*request.mutable_generate(), priority);
    default:  // unset: the server says so
      return;
  }
}

template <class Result>
void order(std::vector<Result>& results) {
  std::sort(results.begin(), results.end(), [](const Result& a, const Result& b) { return a.index() < b.index(); });
}

Results gather(EventStream events) {
  Results results;
  for (Event& event : events) {
    if (auto* embedding = std::get_if<v1::EmbeddingResult>(&event)) {
      results.embeddings.push_back(std::move(*embedding));
    } else if (auto* image = std::get_if<v1::ImageResult>(&event)) {
      results.images.push_back(std::move(*image));
    } else if (auto* completed = std::get_if<v1::Completed>(&event)) {
      results.completed = std::move(*completed);
    }
  }
  order(results.embeddings);
  order(results.images);
  return results;
}

// grpc.health.v1.Health/Check. Its request is one string and its response one enum, in field 1 each: what these two
// well-known types are on the wire. Stubs of its own would clash with those of a program that has them too.
grpc::Status check_health(Connection& to, grpc::ClientContext* context, const google::protobuf::StringValue& service,
                          google::protobuf::Int32Value* health) {
  using Stub = grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::Int32Value>;
  grpc::CompletionQueue queue;
  const auto reader = Stub(to.channel()).PrepareUnaryCall(context, "/grpc.health.v1.Health/Check", service, &queue);
  grpc::Status status;
  reader->StartCall();
  reader->Finish(health, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  queue.Next(&tag, &ok);
  return status;
}

Health health_of(int status) {
  switch (status) {
    case 1:
      return Health::serving;
    case 2:
      return Health::not_serving;
    case 3:
      return Health::service_unknown;
    default:
      return Health::unknown;
  }
}

}  // namespace

class Client::Impl {
 public:
  Impl(const std::string& target, ClientOptions options)
      : connection_(std::make_shared<Connection>(target, std::move(options))) {}

  template <class Request>
  EventStream stream(Request request, const CallOptions& options) {
    fill(request, connection_->priority());
    const auto sent = std::make_shared<Request>(std::move(request));
    StartAttempt start = [connection = connection_, sent](grpc::ClientContext& context) {
      auto queue = std::make_unique<Queue>();
      auto reader = prepare(*connection, &context, *sent, queue.get());
      return start_attempt(context, std::move(queue), std::move(reader));
    };
    return EventStream(
        std::make_unique<EventStream::Impl>(connection_, options, *sent->mutable_options(), std::move(start)));
  }

  template <class Request>
  Results results(Request request, const CallOptions& options) {
    if (!request.options().has_progress_interval_steps()) {
      request.mutable_options()->set_progress_interval_steps(0);
    }
    return gather(stream(std::move(request), options));
  }

  // Makes a call of one answer within this patience; `send` makes one try.
  template <class Send>
  void ask(const CallOptions& options, Retry retry, Send send) {
    RunningCall call(connection_);
    for (;;) {
      const auto context = connection_->context(options, retry);
      call.cancellation().watch(context.get());
      const grpc::Status status = send(context.get());
      call.cancellation().watch(nullptr);
      if (status.ok()) {
        return;
      }
      if (call.cancellation().cancelled() || call.cancellation().wait(retry.delay_after(error_of(status, *context)))) {
        throw cancelled_error();
      }
    }
  }

  Connection& connection() { return *connection_; }

 private:
  std::shared_ptr<Connection> connection_;
};

Client::Client(const std::string& target, ClientOptions options)
    : impl_(std::make_unique<Impl>(target, std::move(options))) {}
Client::Client(Client&& other) noexcept = default;

Client& Client::operator=(Client&& other) noexcept {
  close();
  impl_ = std::move(other.impl_);
  return *this;
}

Client::~Client() { close(); }

void Client::close() noexcept {
  if (impl_) {
    impl_->connection().close();
  }
}

EventStream Client::stream(v1::PriorRequest request, const CallOptions& options) {
  return impl_->stream(std::move(request), options);
}
EventStream Client::stream(v1::InterpolateRequest request, const CallOptions& options) {
  return impl_->stream(std::move(request), options);
}
EventStream Client::stream(v1::DecodeRequest request, const CallOptions& options) {
  return impl_->stream(std::move(request), options);
}
EventStream Client::stream(v1::Img2ImgRequest request, const CallOptions& options) {
  return impl_->stream(std::move(request), options);
}
EventStream Client::stream(v1::InpaintRequest request, const CallOptions& options) {
  return impl_->stream(std::move(request), options);
}
EventStream Client::stream(v1::ControlNetRequest request, const CallOptions& options) {
  return impl_->stream(std::move(request), options);
}
EventStream Client::stream(v1::GenerateRequest request, const CallOptions& options) {
  return impl_->stream(std::move(request), options);
}

Results Client::prior(v1::PriorRequest request, const CallOptions& options) {
  return impl_->results(std::move(request), options);
}
Results Client::interpolate(v1::InterpolateRequest request, const CallOptions& options) {
  return impl_->results(std::move(request), options);
}
Results Client::decode(v1::DecodeRequest request, const CallOptions& options) {
  return impl_->results(std::move(request), options);
}
Results Client::img2img(v1::Img2ImgRequest request, const CallOptions& options) {
  return impl_->results(std::move(request), options);
}
Results Client::inpaint(v1::InpaintRequest request, const CallOptions& options) {
  return impl_->results(std::move(request), options);
}
Results Client::controlnet(v1::ControlNetRequest request, const CallOptions& options) {
  return impl_->results(std::move(request), options);
}
Results Client::generate(v1::GenerateRequest request, const CallOptions& options) {
  return impl_->results(std::move(request), options);
}

v1::EmbeddingResult Client::embed_image(std::string image, const CallOptions& options) {
  v1::InterpolateRequest request;
  request.add_conditions()->mutable_image()->set_data(std::move(image));
  request.add_weights()->add_values(1.0);
  Results results = interpolate(std::move(request), options);
  if (results.embeddings.size() != 1) {
    throw IncompleteStreamError("one embedding was asked for, " + std::to_string(results.embeddings.size()) + " came");
  }
  return std::move(results.embeddings.front());
}

v1::EstimateResponse Client::estimate(v1::EstimateRequest request, const CallOptions& options) {
  Connection& connection = impl_->connection();
  fill_estimated(request, connection.priority());
  v1::EstimateResponse estimate;
  impl_->ask(options, connection.retry(options),
             [&](grpc::ClientContext* context) { return connection.server().Estimate(context, request, &estimate); });
  return estimate;
}

v1::GetServerInfoResponse Client::info(const CallOptions& options) {
  Connection& connection = impl_->connection();
  v1::GetServerInfoResponse info;
  impl_->ask(options, connection.retry(options),
             [&](grpc::ClientContext* context) { return connection.server().GetServerInfo(context, {}, &info); });
  return info;
}

Health Client::health(const std::string& service, const CallOptions& options) {
  Connection& connection = impl_->connection();
  check_metadata(options.metadata);
  google::protobuf::StringValue name;
  name.set_value(service);
  google::protobuf::Int32Value status;
  impl_->ask(options, Retry(options.timeout.value_or(kHealthTimeout), 0),
             [&](grpc::ClientContext* context) { return check_health(connection, context, name, &status); });
  return health_of(status.value());
}

}  // namespace kandinsky
