#include <gtest/gtest.h>
#include <kandinsky/embedding.h>

#include <set>

#include "fake_server.h"

using kandinsky::Client;

namespace {

std::vector<std::string> rpcs(const FakeServer& server) {
  std::vector<std::string> names;
  for (const auto& arrived : server.arrived()) {
    names.push_back(arrived.rpc);
  }
  return names;
}

grpc::Status one_image(ServerCall& call) { return send(call, {queued(), image(0, "png"), completed(0, 1)}); }

}  // namespace

TEST(Calls, StreamsEventsInOrder) {
  const FakeServer server([](ServerCall& call) {
    return send(call, {queued(3), progress(1), unknown_event(), embedding(0), image(0, "png"), completed(1, 1)});
  });
  Client client(server.target());
  std::vector<std::size_t> kinds;
  for (const kandinsky::Event& event : client.stream(v1::GenerateRequest())) {
    kinds.push_back(event.index());
  }
  EXPECT_EQ(kinds, (std::vector<std::size_t>{0, 1, 3, 4, 5}));
}

TEST(Calls, EndsAfterCompleted) {
  const FakeServer server(one_image);
  Client client(server.target());
  auto stream = client.stream(decode_request());
  while (stream.next()) {
  }
  EXPECT_FALSE(stream.next());
  EXPECT_EQ(stream.begin(), stream.end());
}

TEST(Calls, EveryRpcHasAMethod) {
  const FakeServer server([](ServerCall& call) { return send(call, {queued(), embedding(0), completed(1, 0)}); });
  Client client(server.target());
  EXPECT_EQ(client.prior({}).embeddings.size(), 1U);
  EXPECT_EQ(client.interpolate({}).embeddings.size(), 1U);
  client.decode({});
  client.img2img({});
  client.inpaint({});
  client.controlnet({});
  client.generate({});
  EXPECT_EQ(client.info().model(), "toy");
  EXPECT_EQ(client.estimate({}).step_count(), 50);
  EXPECT_EQ(rpcs(server), (std::vector<std::string>{"Prior", "Interpolate", "Decode", "Img2Img", "Inpaint",
                                                    "ControlNet", "Generate", "GetServerInfo", "Estimate"}));
}

TEST(Calls, OrdersResultsByIndex) {
  const FakeServer server([](ServerCall& call) {
    return send(call, {queued(), embedding(1), image(1, "b"), embedding(0), image(0, "a"), completed(2, 2)});
  });
  const auto results = Client(server.target()).generate({});
  ASSERT_EQ(results.images.size(), 2U);
  EXPECT_EQ(results.images[0].data() + results.images[1].data(), "ab");
  EXPECT_EQ(results.embeddings[0].index(), 0);
  EXPECT_EQ(results.completed.image_count(), 2);
}

TEST(Calls, DrawsASeedWhereNoneIsGiven) {
  const FakeServer server(one_image);
  Client client(server.target());
  std::set<std::int64_t> seeds;
  for (int time = 0; time < 8; ++time) {
    client.decode(decode_request());
    v1::DecodeRequest sent;
    sent.ParseFromString(server.arrived().back().request);
    EXPECT_TRUE(sent.sampling().has_seed());
    EXPECT_GE(sent.sampling().seed(), 0);
    EXPECT_LE(sent.sampling().seed(), 0xffffffffLL);
    seeds.insert(sent.sampling().seed());
  }
  EXPECT_GT(seeds.size(), 1U);
}

TEST(Calls, KeepsWhatTheRequestSays) {
  const FakeServer server(one_image);
  auto request = decode_request();
  request.mutable_sampling()->set_seed(0);
  request.mutable_options()->set_priority(v1::PRIORITY_LOW);
  request.mutable_options()->set_progress_interval_steps(5);
  kandinsky::ClientOptions options;
  options.priority = v1::PRIORITY_HIGH;
  Client(server.target(), options).decode(request);
  EXPECT_EQ(server.arrived().back().request, request.SerializeAsString());
}

TEST(Calls, AsksForNoProgressWhenItGathers) {
  const FakeServer server(one_image);
  kandinsky::ClientOptions options;
  options.priority = v1::PRIORITY_HIGH;
  Client client(server.target(), options);
  client.decode(decode_request());
  v1::DecodeRequest sent;
  sent.ParseFromString(server.arrived().back().request);
  EXPECT_TRUE(sent.options().has_progress_interval_steps());
  EXPECT_EQ(sent.options().progress_interval_steps(), 0);
  EXPECT_EQ(sent.options().priority(), v1::PRIORITY_HIGH);

  auto stream = client.stream(decode_request());
  while (stream.next()) {
  }
  sent.ParseFromString(server.arrived().back().request);
  EXPECT_FALSE(sent.options().has_progress_interval_steps());
}

TEST(Calls, EmbedsAnImage) {
  const FakeServer server([](ServerCall& call) { return send(call, {queued(), embedding(0), completed(1, 0)}); });
  const auto embedding = Client(server.target()).embed_image("bytes of a picture");
  EXPECT_EQ(kandinsky::to_floats(embedding.embeddings().positive()), (std::vector<float>{1.0F, 2.0F}));
  v1::InterpolateRequest sent;
  sent.ParseFromString(server.arrived().back().request);
  ASSERT_EQ(sent.conditions_size(), 1);
  EXPECT_EQ(sent.conditions(0).image().data(), "bytes of a picture");
  ASSERT_EQ(sent.weights_size(), 1);
  ASSERT_EQ(sent.weights(0).values_size(), 1);
  EXPECT_EQ(sent.weights(0).values(0), 1.0);
}

TEST(Calls, EstimatesWithTheClientsPriority) {
  const FakeServer server([](ServerCall&) { return grpc::Status::OK; });
  kandinsky::ClientOptions options;
  options.priority = v1::PRIORITY_LOW;
  v1::EstimateRequest request;
  *request.mutable_decode() = decode_request();
  Client(server.target(), options).estimate(request);
  v1::EstimateRequest sent;
  sent.ParseFromString(server.arrived().back().request);
  EXPECT_EQ(sent.decode().options().priority(), v1::PRIORITY_LOW);
  EXPECT_EQ(sent.decode().sampling().width_px(), 64);
}

TEST(Calls, AsksForHealth) {
  const FakeServer server(one_image);
  Client client(server.target());
  EXPECT_EQ(client.health(), kandinsky::Health::serving);
  EXPECT_EQ(client.health("kandinsky_api.v1.ImageService"), kandinsky::Health::not_serving);
  try {
    client.health("nothing");
    FAIL() << "no such service";
  } catch (const kandinsky::RpcError& error) {
    EXPECT_EQ(error.code(), grpc::StatusCode::NOT_FOUND);
  }
}

TEST(Calls, AStreamThatAddsUpToNothingThrowsOnceAndIsOver) {
  const FakeServer server([](ServerCall& call) { return send(call, {queued(), image(0, "png")}); });
  Client client(server.target());
  auto stream = client.stream(decode_request());
  stream.next();
  stream.next();
  EXPECT_THROW(stream.next(), kandinsky::IncompleteStreamError);
  EXPECT_FALSE(stream.next());
  EXPECT_EQ(server.arrived().size(), 1U);
}

TEST(Calls, ReceivesMessagesBeyondGrpcsDefaultLimit) {
  const std::string large(6 * 1024 * 1024, 'x');
  const FakeServer server([&](ServerCall& call) { return send(call, {image(0, large), completed(0, 1)}); });
  EXPECT_EQ(Client(server.target()).decode(decode_request()).images.front().data().size(), large.size());
}
