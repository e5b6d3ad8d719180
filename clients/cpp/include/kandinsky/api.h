/// @file
/// The messages of the contract, whose package is `kandinsky_api.v1`, by a shorter name.
#pragma once

#include <kandinsky_api/v1/errors.pb.h>
#include <kandinsky_api/v1/events.pb.h>
#include <kandinsky_api/v1/image.pb.h>
#include <kandinsky_api/v1/prior.pb.h>
#include <kandinsky_api/v1/server.pb.h>
#include <kandinsky_api/v1/types.pb.h>

namespace kandinsky {

/// The generated messages: `kandinsky::v1::DecodeRequest` and the others. The fields are described in the contract,
/// `proto/kandinsky_api/v1/`.
namespace v1 = ::kandinsky_api::v1;

}  // namespace kandinsky
