#include <kandinsky/options.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

namespace kandinsky {
namespace {

std::string read_text(const std::filesystem::path& path) {
  if (path.empty()) {
    return {};
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file) {
    throw std::system_error(errno, std::generic_category(), "cannot read " + path.string());
  }
  return text;
}

}  // namespace

TlsOptions TlsOptions::from_files(const std::filesystem::path& root_certificates,
                                  const std::filesystem::path& client_certificate,
                                  const std::filesystem::path& client_key) {
  return {read_text(root_certificates), read_text(client_certificate), read_text(client_key)};
}

}  // namespace kandinsky
