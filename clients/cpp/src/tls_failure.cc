#include "tls_failure.h"

#include <array>

namespace kandinsky {
namespace {

struct Explanation {
  // BoringSSL and OpenSSL spell their errors differently.
  const char* boringssl;
  const char* openssl;
  const char* words;
};

constexpr std::array<Explanation, 6> kExplanations = {{
    {"WRONG_VERSION_NUMBER", "wrong version number",
     "the server does not speak TLS: connect without it, or turn it on at the server"},
    {"CERTIFICATE_VERIFY_FAILED", "certificate verify failed",
     "the server's certificate is not trusted: give its authority's certificate as root_certificates"},
    {"Hostname Verification", "Peer name",
     "the server's certificate is for another name than the target's: call it by a name in its certificate"},
    {"Failed to create security handshaker", "Invalid cert chain file",
     "the certificates given cannot be used: check root_certificates, client_certificate and client_key, the key "
     "without password"},
    {"_ALERT_", "tlsv1 alert",
     "the server refused the TLS connection: it may want a client certificate that its authority signed"},
    {"handshake failed", "Handshake failed", "no TLS connection could be agreed on"},
}};

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

std::optional<std::string> explain_tls_failure(const std::string& message) {
  for (const auto& [boringssl, openssl, words] : kExplanations) {
    if (contains(message, boringssl) || contains(message, openssl)) {
      return words;
    }
  }
  return std::nullopt;
}

}  // namespace kandinsky
