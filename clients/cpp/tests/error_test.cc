#include <kandinsky/error.h>

#include <gtest/gtest.h>
#include <status_details.pb.h>

#include "fake_server.h"

namespace details = kandinsky_client::details;

namespace {

void pack(details::Status& status, const std::string& name, const google::protobuf::Message& detail) {
  auto& packed = *status.add_details();
  packed.set_type_url("type.googleapis.com/google.rpc." + name);
  packed.set_value(detail.SerializeAsString());
}

// What a full queue answers, with every kind of detail.
details::Status rich_status(const std::string& domain = "kandinsky-grpc.github.io") {
  details::Status status;
  status.set_code(8);
  status.set_message("the queue is full");
  details::ErrorInfo info;
  info.set_domain(domain);
  info.set_reason("QUEUE_FULL");
  (*info.mutable_metadata())["queue_size"] = "64";
  pack(status, "ErrorInfo", info);
  details::BadRequest bad_request;
  auto& violation = *bad_request.add_field_violations();
  violation.set_field("sampling.step_count");
  violation.set_description("must be 1 to 1000");
  pack(status, "BadRequest", bad_request);
  details::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  pack(status, "RetryInfo", retry);
  pack(status, "Help", retry);  // a kind that this client does not read
  return status;
}

// Makes a call that fails with these details.
kandinsky::RpcError failure(const std::string& error_details, bool trailer = true) {
  const FakeServer server([&](ServerCall& call) {
    if (trailer) {
      call.context.AddTrailingMetadata("x-request-id", "request-1");
    }
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full", error_details);
  });
  kandinsky::ClientOptions options;
  options.retries = 0;
  try {
    kandinsky::Client(server.target(), options).decode(decode_request());
  } catch (const kandinsky::RpcError& error) {
    return error;
  }
  throw std::logic_error("the call did not fail");
}

void expect_code_and_message_alone(const kandinsky::RpcError& error) {
  EXPECT_EQ(error.code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(error.message(), "the queue is full");
  EXPECT_TRUE(error.reason().empty());
  EXPECT_TRUE(error.metadata().empty());
  EXPECT_FALSE(error.retry_delay().has_value());
}

}  // namespace

TEST(Error, CarriesAllThatTheServerSaid) {
  const auto error = failure(rich_status().SerializeAsString());
  EXPECT_EQ(error.code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(error.code_name(), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(error.message(), "the queue is full");
  EXPECT_EQ(error.reason(), "QUEUE_FULL");
  EXPECT_TRUE(error.is(v1::ERROR_REASON_QUEUE_FULL));
  EXPECT_FALSE(error.is(v1::ERROR_REASON_QUOTA));
  EXPECT_EQ(error.metadata().at("queue_size"), "64");
  ASSERT_EQ(error.field_violations().size(), 1U);
  EXPECT_EQ(error.field_violations()[0].field, "sampling.step_count");
  EXPECT_EQ(error.field_violations()[0].description, "must be 1 to 1000");
  EXPECT_DOUBLE_EQ(error.retry_delay()->count(), 2.5);
  EXPECT_EQ(error.request_id(), "request-1");
  EXPECT_STREQ(error.what(),
               "RESOURCE_EXHAUSTED (QUEUE_FULL): the queue is full | sampling.step_count: must be 1 to 1000 | "
               "request request-1");
}

TEST(Error, TakesTheRequestIdFromRequestInfo) {
  details::Status status = rich_status();
  details::RequestInfo info;
  info.set_request_id("request-2");
  pack(status, "RequestInfo", info);
  EXPECT_EQ(failure(status.SerializeAsString(), false).request_id(), "request-2");
  EXPECT_EQ(failure(status.SerializeAsString(), true).request_id(), "request-1");
}

TEST(Error, TakesTheRequestIdFromInitialMetadata) {
  const FakeServer server([](ServerCall& call) {
    call.context.AddInitialMetadata("x-request-id", "request-3");
    call.write(queued());
    return grpc::Status(grpc::StatusCode::INTERNAL, "no");
  });
  try {
    kandinsky::Client(server.target()).decode(decode_request());
    FAIL() << "the call did not fail";
  } catch (const kandinsky::RpcError& error) {
    EXPECT_EQ(error.request_id(), "request-3");
  }
}

TEST(Error, SurvivesDetailsThatAreCutOff) {
  const std::string whole = rich_status().SerializeAsString();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    details::Status parsed;
    if (!parsed.ParseFromString(whole.substr(0, size))) {
      expect_code_and_message_alone(failure(whole.substr(0, size)));
      break;  // one is as good as another; what can be parsed is a status with fewer details
    }
  }
  expect_code_and_message_alone(failure("\xff\xff\xff"));
}

TEST(Error, SurvivesADetailThatIsCutOff) {
  details::Status status = rich_status();
  status.mutable_details(0)->mutable_value()->pop_back();
  const auto error = failure(status.SerializeAsString());
  EXPECT_TRUE(error.reason().empty());
  EXPECT_DOUBLE_EQ(error.retry_delay()->count(), 2.5);
}

TEST(Error, PassesOverReasonsOfOtherDomains) {
  const auto error = failure(rich_status("proxy.example").SerializeAsString());
  EXPECT_TRUE(error.reason().empty());
  EXPECT_TRUE(error.metadata().empty());
}

TEST(Error, PassesOverDetailsThatContradictTheStatus) {
  details::Status status = rich_status();
  status.set_code(3);
  expect_code_and_message_alone(failure(status.SerializeAsString()));
}

TEST(Error, KnowsNoReasonWhereThereIsNone) {
  const auto error = failure("");
  for (int reason = v1::ErrorReason_MIN; reason <= v1::ErrorReason_MAX; ++reason) {
    EXPECT_FALSE(error.is(static_cast<v1::ErrorReason>(reason)));
  }
}
