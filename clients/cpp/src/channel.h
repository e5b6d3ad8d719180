// How to reach a server.
#pragma once

#include <grpcpp/channel.h>
#include <kandinsky/options.h>

#include <memory>
#include <string>

namespace kandinsky {

// Makes a channel, which connects at its first call. Throws std::invalid_argument for a target or certificates that
// cannot be.
std::shared_ptr<grpc::Channel> make_channel(const std::string& target, const std::optional<TlsOptions>& tls);

}  // namespace kandinsky
