// Calls that ask for checkpoints outlive their server.
#include <gtest/gtest.h>
#include <status_details.pb.h>

#include "fake_server.h"

using kandinsky::Client;
using kandinsky::Event;
using kandinsky::RpcError;

namespace {

namespace details = kandinsky_client::details;

v1::GenerateRequest asking() {
  v1::GenerateRequest request;
  request.add_prompts("a cat");
  request.mutable_options()->set_checkpoint_interval_steps(5);
  return request;
}

const grpc::Status kGone(grpc::StatusCode::UNAVAILABLE, "gone");

grpc::Status refusal(grpc::StatusCode code, const std::string& reason, const std::string& field) {
  details::Status status;
  status.set_code(code);
  details::ErrorInfo info;
  info.set_domain("kandinsky-grpc.github.io");
  info.set_reason(reason);
  details::BadRequest bad_request;
  bad_request.add_field_violations()->set_field(field);
  const auto pack = [&](const std::string& name, const google::protobuf::Message& detail) {
    auto& packed = *status.add_details();
    packed.set_type_url("type.googleapis.com/google.rpc." + name);
    packed.set_value(detail.SerializeAsString());
  };
  pack("ErrorInfo", info);
  pack("BadRequest", bad_request);
  return {code, "no", status.SerializeAsString()};
}

grpc::Status another_model() {
  return refusal(grpc::StatusCode::FAILED_PRECONDITION, "FINGERPRINT_MISMATCH", "embeddings[0]");
}

grpc::Status another_dtype() {
  return refusal(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD", "options.resume.checkpoints[0].dtype");
}

// What one try brings, and how it ends.
struct Try {
  std::vector<v1::Event> events;
  grpc::Status end;
};

// Answers each call by the next of them.
Script by_turns(const std::vector<Try>& tries) {
  return [tries](ServerCall& call) {
    const Try& turn = tries.at(static_cast<std::size_t>(call.number) - 1);
    send(call, turn.events);
    return turn.end;
  };
}

v1::GenerateRequest request_of(const FakeServer& server, std::size_t call) {
  v1::GenerateRequest request;
  request.ParseFromString(server.arrived().at(call).request);
  return request;
}

bool resumes(const FakeServer& server, std::size_t call) { return request_of(server, call).options().has_resume(); }

// Makes a call that fails, at the last of these tries.
RpcError failure(const std::vector<Try>& tries, int retries = 5) {
  const FakeServer server(by_turns(tries));
  kandinsky::ClientOptions options;
  options.retries = retries;
  try {
    Client(server.target(), options).generate(asking());
  } catch (const RpcError& error) {
    EXPECT_EQ(server.arrived().size(), tries.size());
    return error;
  }
  throw std::logic_error("the call did not fail");
}

}  // namespace

TEST(Resume, GoesOnFromTheNewestCheckpointOfEachTrajectory) {
  const FakeServer server(by_turns({
      {{queued(), checkpoint("prior", 0, 5), checkpoint("decoder", 0, 5), checkpoint("decoder", 1, 5),
        checkpoint("decoder", 0, 10)},
       kGone},
      {{queued(), image(0, "png"), completed(0, 1)}, grpc::Status::OK},
  }));
  const v1::GenerateRequest request = asking();
  Client client(server.target());
  std::vector<std::size_t> kinds;
  for (const Event& event : client.stream(request)) {
    kinds.push_back(event.index());
  }
  EXPECT_EQ(kinds, (std::vector<std::size_t>{0, 0, 4, 5}));  // queued, queued, image, completed
  EXPECT_FALSE(request.options().has_resume());

  v1::GenerateRequest expected = request_of(server, 0);
  EXPECT_FALSE(expected.options().has_resume());
  for (const auto& newest : {checkpoint("prior", 0, 5), checkpoint("decoder", 0, 10), checkpoint("decoder", 1, 5)}) {
    *expected.mutable_options()->mutable_resume()->add_checkpoints() = newest.checkpoint();
  }
  EXPECT_EQ(request_of(server, 1).DebugString(), expected.DebugString());
}

TEST(Resume, LeavesOutWhatWasDelivered) {
  const FakeServer server(by_turns({
      {{embedding(0, {0.5F}), embedding(1, {-1.0F}), checkpoint("decoder", 1, 5), image(0, "a")}, kGone},
      {{checkpoint("decoder", 1, 10)}, kGone},
      {{image(1, "b"), completed(0, 1)}, grpc::Status::OK},
  }));
  const auto results = Client(server.target()).generate(asking());
  ASSERT_EQ(results.images.size(), 2U);
  EXPECT_EQ(results.images[0].data() + results.images[1].data(), "ab");
  EXPECT_EQ(results.embeddings.size(), 2U);
  EXPECT_EQ(results.completed.embedding_count(), 2);
  EXPECT_EQ(results.completed.image_count(), 2);

  v1::Resume expected;
  for (const auto& event : {embedding(0, {0.5F}), embedding(1, {-1.0F})}) {
    auto& delivered = *expected.add_embeddings();
    delivered.set_index(event.embedding().index());
    *delivered.mutable_embeddings() = event.embedding().embeddings();
  }
  expected.add_image_indices(0);
  *expected.add_checkpoints() = checkpoint("decoder", 1, 5).checkpoint();
  EXPECT_EQ(request_of(server, 1).options().resume().DebugString(), expected.DebugString());
  *expected.mutable_checkpoints(0) = checkpoint("decoder", 1, 10).checkpoint();
  EXPECT_EQ(request_of(server, 2).options().resume().DebugString(), expected.DebugString());
}

TEST(Resume, BeginsAnewWhereAReplicaCannotGoOn) {
  for (const auto& refused : {another_model(), another_dtype()}) {
    const FakeServer server(by_turns({
        {{checkpoint("decoder", 0, 5)}, kGone},
        {{}, refused},
        {{}, kGone},
        {{image(0, "png"), completed(0, 1)}, grpc::Status::OK},
    }));
    kandinsky::ClientOptions options;
    options.retries = 2;
    EXPECT_EQ(Client(server.target(), options).generate(asking()).images.size(), 1U);
    EXPECT_TRUE(resumes(server, 1));
    EXPECT_FALSE(resumes(server, 2));
    EXPECT_FALSE(resumes(server, 3));
  }
}

TEST(Resume, DoesNotBeginAnewAfterAResult) {
  const auto error = failure({{{checkpoint("decoder", 0, 5), image(0, "png")}, kGone}, {{}, another_model()}});
  EXPECT_TRUE(error.is(v1::ERROR_REASON_FINGERPRINT_MISMATCH));
}

TEST(Resume, DoesNotBeginAnewForAnotherFieldNorTwice) {
  const auto another_field = refusal(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD", "prompts[0]");
  failure({{{checkpoint("decoder", 0, 5)}, kGone}, {{}, another_field}});
  failure({{{}, kGone}, {{}, another_model()}});
  failure({{{checkpoint("decoder", 0, 5)}, kGone}, {{}, another_model()}, {{}, another_model()}});
}

TEST(Resume, CountsRetriesAnewWhenATryBroughtSomething) {
  const auto error = failure({{{checkpoint("decoder", 0, 5)}, kGone},
                              {{checkpoint("decoder", 0, 10)}, kGone},
                              {{embedding(0)}, kGone},
                              {{}, kGone}},
                             1);
  EXPECT_EQ(error.code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(Resume, KeepsWhatTheCallerResumesFrom) {
  const FakeServer server(by_turns({
      {{image(0, "png")}, kGone},
      {{completed(0, 0)}, grpc::Status::OK},
  }));
  v1::GenerateRequest request = asking();
  request.mutable_options()->mutable_resume()->add_image_indices(7);
  EXPECT_EQ(Client(server.target()).generate(request).completed.image_count(), 1);
  v1::Resume expected = request.options().resume();
  EXPECT_EQ(request_of(server, 0).options().resume().DebugString(), expected.DebugString());
  expected.add_image_indices(0);
  EXPECT_EQ(request_of(server, 1).options().resume().DebugString(), expected.DebugString());
}
