#include "retry.h"

#include <gtest/gtest.h>

#include <cmath>

#include "fake_server.h"

using kandinsky::Client;
using kandinsky::Retry;
using kandinsky::RpcError;
using kandinsky::Seconds;
using namespace std::chrono_literals;

namespace {

RpcError error(grpc::StatusCode code, std::optional<Seconds> retry_delay = {}, const std::string& reason = "") {
  kandinsky::RpcFailure failure;
  failure.code = code;
  failure.retry_delay = retry_delay;
  failure.reason = reason;
  return RpcError(failure);
}

const RpcError kUnavailable = error(grpc::StatusCode::UNAVAILABLE);

// Fails the first calls so, then answers.
Script failing(int times, const grpc::Status& status) {
  return [times, status](ServerCall& call) {
    return call.number <= times ? status : send(call, {queued(), image(0, "png"), completed(0, 1)});
  };
}

const grpc::Status kDraining(grpc::StatusCode::UNAVAILABLE, "draining");

}  // namespace

TEST(Retry, BacksOffAndGivesUp) {
  Retry retry(std::nullopt, 5);
  double first = 0.1;
  for (int tried = 0; tried < 5; ++tried, first *= 2) {
    const double delay = retry.delay_after(kUnavailable).count();
    EXPECT_GE(delay, first * 0.5);
    EXPECT_LE(delay, first);
  }
  EXPECT_THROW(retry.delay_after(kUnavailable), RpcError);
}

TEST(Retry, NeverWaitsLongerThanTenSeconds) {
  Retry retry(std::nullopt, 100);
  double longest = 0;
  for (int tried = 0; tried < 100; ++tried) {
    longest = std::max(longest, retry.delay_after(kUnavailable).count());
  }
  EXPECT_LE(longest, 10.0);
  EXPECT_GE(longest, 5.0);
}

TEST(Retry, TakesTheServersAdvice) {
  for (int time = 0; time < 100; ++time) {
    const double delay = Retry(std::nullopt, 1).delay_after(error(grpc::StatusCode::UNAVAILABLE, 2s)).count();
    EXPECT_GE(delay, 2.0);
    EXPECT_LE(delay, 2.55);
  }
}

TEST(Retry, TriesOnlyWhatMayHelp) {
  const auto tries = [](const RpcError& given) {
    try {
      Retry(std::nullopt, 5).delay_after(given);
      return true;
    } catch (const RpcError&) {
      return false;
    }
  };
  kandinsky::RpcFailure tls;
  tls.code = grpc::StatusCode::UNAVAILABLE;
  tls.is_tls_failure = true;
  EXPECT_TRUE(tries(kUnavailable));
  EXPECT_TRUE(tries(error(grpc::StatusCode::RESOURCE_EXHAUSTED, 1s, "QUEUE_FULL")));
  EXPECT_FALSE(tries(RpcError(tls)));
  EXPECT_FALSE(tries(error(grpc::StatusCode::RESOURCE_EXHAUSTED)));
  EXPECT_FALSE(tries(error(grpc::StatusCode::RESOURCE_EXHAUSTED, 1s, "DEADLINE_UNREACHABLE")));
  EXPECT_FALSE(tries(error(grpc::StatusCode::INTERNAL, 1s)));
  EXPECT_FALSE(tries(error(grpc::StatusCode::DEADLINE_EXCEEDED)));
}

TEST(Retry, NeverWaitsPastTheDeadline) {
  EXPECT_THROW(Retry(1s, 5).delay_after(error(grpc::StatusCode::UNAVAILABLE, 1s)), RpcError);
  EXPECT_NO_THROW(Retry(60s, 5).delay_after(error(grpc::StatusCode::UNAVAILABLE, 1s)));
}

TEST(Retry, TakesInfinityForNoLimit) {
  EXPECT_FALSE(Retry(std::nullopt, 0).left());
  EXPECT_FALSE(Retry(Seconds(HUGE_VAL), 0).left());
  EXPECT_FALSE(Retry(Seconds(1e300), 0).left());
  EXPECT_GT(Retry(5s, 0).left()->count(), 4.0);
}

TEST(RetriedCall, SendsTheSameRequestAgain) {
  const FakeServer server(failing(2, kDraining));
  EXPECT_EQ(Client(server.target()).decode(decode_request()).images.size(), 1U);
  const auto arrived = server.arrived();
  ASSERT_EQ(arrived.size(), 3U);
  EXPECT_EQ(arrived[0].request, arrived[1].request);
  EXPECT_EQ(arrived[0].request, arrived[2].request);
}

TEST(RetriedCall, TriesAgainAfterEventsThatAreNoResults) {
  const FakeServer server([](ServerCall& call) {
    if (call.number == 1) {
      send(call, {queued(), progress(1), image_header(0, 6, 2), chunk(0, 0, "abc")});
      return kDraining;
    }
    return send(call, {queued(), image(0, "png"), completed(0, 1)});
  });
  EXPECT_EQ(Client(server.target()).decode(decode_request()).images.front().data(), "png");
}

TEST(RetriedCall, DoesNotTryAgainWhatFailedAfterAResult) {
  const FakeServer server([](ServerCall& call) {
    send(call, {queued(), image(0, "png")});
    return grpc::Status(grpc::StatusCode::INTERNAL, "no");
  });
  EXPECT_THROW(Client(server.target()).decode(decode_request()), RpcError);
  EXPECT_EQ(server.arrived().size(), 1U);
}

TEST(RetriedCall, TriesAsOftenAsTheOptionsSay) {
  const FakeServer server(failing(1000, kDraining));
  kandinsky::ClientOptions options;
  options.retries = 2;
  Client client(server.target(), options);
  EXPECT_THROW(client.decode(decode_request()), RpcError);
  EXPECT_EQ(server.arrived().size(), 3U);
  EXPECT_THROW(client.info(), RpcError);
  EXPECT_EQ(server.arrived().size(), 6U);
  EXPECT_THROW(client.health("nothing"), RpcError);
}

TEST(RetriedCall, TriesCallsOfOneAnswerAgain) {
  const FakeServer server([](ServerCall& call) { return call.number == 1 ? kDraining : grpc::Status::OK; });
  EXPECT_EQ(Client(server.target()).info().model(), "toy");
  EXPECT_EQ(server.arrived().size(), 2U);
}

TEST(RetriedCall, OneDeadlineHoldsForAllTries) {
  const FakeServer server([](ServerCall& call) {
    call.write(queued());
    wait_for_cancel(call);
    return grpc::Status::CANCELLED;
  });
  kandinsky::CallOptions options;
  options.timeout = 300ms;
  try {
    Client(server.target()).decode(decode_request(), options);
    FAIL() << "no deadline";
  } catch (const RpcError& raised) {
    EXPECT_EQ(raised.code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  EXPECT_EQ(server.arrived().size(), 1U);
}
