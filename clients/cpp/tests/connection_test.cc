#include <grpcpp/security/server_credentials.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <system_error>

#include "fake_server.h"

using kandinsky::Client;
using kandinsky::ClientOptions;
using kandinsky::TlsOptions;
using namespace std::chrono_literals;

namespace {

const std::string kCertificate = CERTIFICATES "/localhost.pem";
const std::string kKey = CERTIFICATES "/localhost.key";

grpc::Status no_image(ServerCall& call) { return send(call, {queued(), completed(0, 0)}); }

std::shared_ptr<grpc::ServerCredentials> server_credentials(bool mutual) {
  const auto pem = TlsOptions::from_files(kCertificate, kCertificate, kKey);
  grpc::SslServerCredentialsOptions options(mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                   : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  options.pem_root_certs = pem.root_certificates;
  options.pem_key_cert_pairs.push_back({pem.client_key, pem.client_certificate});
  return grpc::SslServerCredentials(options);
}

ClientOptions with(TlsOptions tls) {
  ClientOptions options;
  options.tls = std::move(tls);
  return options;
}

// Calls and expects the failure that trying again cannot help; a second try would take 5 retries' time.
void expect_tls_failure(const std::string& target, ClientOptions options, const std::string& words) {
  options.timeout = 20s;
  options.retries = 1000;
  try {
    Client(target, options).info();
    FAIL() << "no TLS failure";
  } catch (const kandinsky::RpcError& error) {
    EXPECT_EQ(error.code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_TRUE(error.is_tls_failure()) << error.what();
    EXPECT_NE(error.message().find(words), std::string::npos) << error.what();
  }
}

std::string only(const Arrived& arrived, const std::string& key) {
  EXPECT_EQ(arrived.metadata.count(key), 1U) << key;
  const auto found = arrived.metadata.find(key);
  return found == arrived.metadata.end() ? "" : found->second;
}

}  // namespace

TEST(Connection, SendsTokenAndMetadataOnPlaintext) {
  const FakeServer server(no_image);
  ClientOptions options;
  options.token = "secret";
  options.metadata = {{"x-team", "a"}};
  kandinsky::CallOptions call;
  call.metadata = {{"traceparent", "00-1-2-01"}, {"x-raw-bin", std::string("\0\xff", 2)}};
  Client(server.target(), options).decode(decode_request(), call);
  const Arrived arrived = server.arrived().front();
  EXPECT_EQ(only(arrived, "authorization"), "Bearer secret");
  EXPECT_EQ(only(arrived, "x-team"), "a");
  EXPECT_EQ(only(arrived, "traceparent"), "00-1-2-01");
  EXPECT_EQ(only(arrived, "x-raw-bin"), std::string("\0\xff", 2));
  EXPECT_NE(only(arrived, "user-agent").find("kandinsky-client-cpp/0.1.0"), std::string::npos);
}

TEST(Connection, SpeaksTls) {
  const FakeServer server(no_image, server_credentials(false));
  ClientOptions options = with(TlsOptions::from_files(kCertificate));
  options.token = "secret";
  Client(server.target(), options).decode(decode_request());
  EXPECT_EQ(only(server.arrived().front(), "authorization"), "Bearer secret");
}

TEST(Connection, SpeaksMutualTls) {
  const FakeServer server(no_image, server_credentials(true));
  Client(server.target(), with(TlsOptions::from_files(kCertificate, kCertificate, kKey))).decode(decode_request());
  EXPECT_EQ(server.arrived().size(), 1U);
}

TEST(Connection, TellsAnUntrustedCertificate) {
  const FakeServer server(no_image, server_credentials(false));
  expect_tls_failure(server.target(), with({}), "not trusted");
}

TEST(Connection, TellsAServerWithoutTls) {
  const FakeServer server(no_image);
  expect_tls_failure(server.target(), with(TlsOptions::from_files(kCertificate)), "does not speak TLS");
}

TEST(Connection, TellsAnotherName) {
  const FakeServer server(no_image, server_credentials(false));
  const std::string port = server.target().substr(server.target().rfind(':'));
  expect_tls_failure("127.0.0.1" + port, with(TlsOptions::from_files(kCertificate)), "another name");
}

TEST(Connection, RefusesOptionsThatCannotBe) {
  const auto expect_refused = [](const std::function<void(ClientOptions&)>& change) {
    ClientOptions options;
    change(options);
    EXPECT_THROW(Client("localhost:1", options), std::invalid_argument);
  };
  expect_refused([](auto& options) { options.timeout = 0s; });
  expect_refused([](auto& options) { options.timeout = -1s; });
  expect_refused([](auto& options) { options.timeout = kandinsky::Seconds(std::nan("")); });
  expect_refused([](auto& options) { options.retries = -1; });
  expect_refused([](auto& options) { options.token = "secret\n"; });
  expect_refused([](auto& options) { options.token = "sch\xc3\xb6n"; });
  expect_refused([](auto& options) { options.metadata = {{"X-Team", "a"}}; });
  expect_refused([](auto& options) { options.metadata = {{"grpc-x", "a"}}; });
  expect_refused([](auto& options) { options.metadata = {{"", "a"}}; });
  expect_refused([](auto& options) { options.metadata = {{"x-team", "a\n"}}; });
  expect_refused([](auto& options) { options.tls = TlsOptions{"/a/path.pem", "", ""}; });
  expect_refused([](auto& options) { options.tls = TlsOptions::from_files({}, kCertificate); });
  expect_refused([](auto& options) { options.tls = TlsOptions::from_files({}, {}, kKey); });
  EXPECT_THROW(Client("http://localhost:1"), std::invalid_argument);
  EXPECT_THROW(Client(""), std::invalid_argument);
  EXPECT_THROW(TlsOptions::from_files("/no/such/file"), std::system_error);
}

TEST(Connection, RefusesCallOptionsThatCannotBe) {
  const FakeServer server(no_image);
  Client client(server.target());
  kandinsky::CallOptions zero;
  zero.timeout = 0s;
  EXPECT_THROW(client.decode(decode_request(), zero), std::invalid_argument);
  EXPECT_THROW(client.info(zero), std::invalid_argument);
  EXPECT_THROW(client.health("", zero), std::invalid_argument);
  kandinsky::CallOptions broken;
  broken.metadata = {{"A", "b"}};
  EXPECT_THROW(client.stream(decode_request(), broken), std::invalid_argument);
  EXPECT_THROW(client.health("", broken), std::invalid_argument);
  EXPECT_TRUE(server.arrived().empty());
}

TEST(Connection, AServerThatIsNotThereIsNoTlsFailure) {
  ClientOptions options;
  options.retries = 0;
  try {
    Client("localhost:1", options).info();
    FAIL() << "nobody is there";
  } catch (const kandinsky::RpcError& error) {
    EXPECT_EQ(error.code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_FALSE(error.is_tls_failure());
    EXPECT_TRUE(error.reason().empty());
  }
}
