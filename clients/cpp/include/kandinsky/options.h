/// @file
/// How a client speaks to its server, and how one call is made.
#pragma once

#include <kandinsky/api.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kandinsky {

/// A time in seconds. `std::chrono` literals such as `30s` and `500ms` convert to it.
using Seconds = std::chrono::duration<double>;

/// Pairs of gRPC metadata. Keys are of a-z, 0-9, '-', '_' and '.', and do not start with "grpc-". Values are printable
/// ASCII, or any bytes for keys that end in "-bin".
using Metadata = std::vector<std::pair<std::string, std::string>>;

/// How to trust the server, and how to be trusted by it. All are PEM texts, not paths.
struct TlsOptions {
  /// Whom to trust; empty: the system's roots.
  std::string root_certificates;
  /// This client's certificate chain, for mutual TLS; needs `client_key`.
  std::string client_certificate;
  /// Its private key, without password; needs `client_certificate`.
  std::string client_key;

  /// Reads the options from files; an empty path leaves the option empty.
  /// @throws std::system_error A file cannot be read.
  static TlsOptions from_files(const std::filesystem::path& root_certificates,
                               const std::filesystem::path& client_certificate = {},
                               const std::filesystem::path& client_key = {});
};

/// How a client speaks to its server.
struct ClientOptions {
  /// Encrypts the connection; unset: plaintext. `TlsOptions{}` trusts the system's roots.
  std::optional<TlsOptions> tls;
  /// Sent as "authorization: Bearer ...", on a plaintext connection too; empty: none. Printable ASCII.
  std::string token;
  /// Sent with every call.
  Metadata metadata;
  /// The time for each call, retries and waits included, above 0. Unset, as infinity: no limit.
  std::optional<Seconds> timeout;
  /// The most retries of a call that the server turned away or that did not reach it, in a row that bring no checkpoint
  /// and no result; 0 or more.
  int retries = 5;
  /// The priority of requests that give none.
  v1::Priority priority = v1::PRIORITY_UNSPECIFIED;
};

/// How one call is made.
struct CallOptions {
  /// The time for the whole call, retries and waits included, above 0. Unset: the client's; infinity: no limit.
  std::optional<Seconds> timeout;
  /// Sent besides the client's, such as "traceparent".
  Metadata metadata;
};

}  // namespace kandinsky
