#include "channel.h"

#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <stdexcept>

namespace kandinsky {
namespace {

// An answer's messages stay near 1 MiB by contract; the room above is for servers with other limits, and still bounds
// what a stray server can make this process hold. What may be sent is the server's to limit.
constexpr int kMaxReceiveBytes = 64 * 1024 * 1024;

void check_target(const std::string& target) {
  if (target.empty() || target.rfind("http://", 0) == 0 || target.rfind("https://", 0) == 0) {
    throw std::invalid_argument("target must be an address such as localhost:50051, not '" + target + "'");
  }
}

void check_pem(const std::string& name, const std::string& text, const std::string& mark) {
  if (!text.empty() && text.find(mark) == std::string::npos) {
    throw std::invalid_argument(name + " holds no PEM text with '" + mark + "'; give the text, not a path");
  }
}

std::shared_ptr<grpc::ChannelCredentials> credentials(const std::optional<TlsOptions>& tls) {
  if (!tls) {
    return grpc::InsecureChannelCredentials();
  }
  check_pem("root_certificates", tls->root_certificates, "BEGIN CERTIFICATE");
  check_pem("client_certificate", tls->client_certificate, "BEGIN CERTIFICATE");
  check_pem("client_key", tls->client_key, "PRIVATE KEY");
  if (tls->client_certificate.empty() != tls->client_key.empty()) {
    throw std::invalid_argument("client_certificate and client_key need each other: one of them is empty");
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = tls->root_certificates;
  options.pem_cert_chain = tls->client_certificate;
  options.pem_private_key = tls->client_key;
  return grpc::SslCredentials(options);
}

grpc::ChannelArguments arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetString(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "kandinsky-client-cpp/" KANDINSKY_CLIENT_VERSION);
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  arguments.SetMaxSendMessageSize(-1);
  // A request may wait in the queue without a word for longer than NAT tables and proxies remember.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  // A restarted server is found again in seconds, not in gRPC's default of up to two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // In spite of its name, how long one attempt may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  // This client tries again itself, by rules that know the contract; both would multiply.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return arguments;
}

}  // namespace

std::shared_ptr<grpc::Channel> make_channel(const std::string& target, const std::optional<TlsOptions>& tls) {
  check_target(target);
  return grpc::CreateCustomChannel(target, credentials(tls), arguments());
}

}  // namespace kandinsky
