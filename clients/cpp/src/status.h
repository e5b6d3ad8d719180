// From a gRPC status to this library's error.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <kandinsky/error.h>

namespace kandinsky {

// Reads a status other than OK, with the details that the server attached. `context` is that of the call, which is
// over. Details that are cut off or cannot be parsed are left out.
RpcError error_of(const grpc::Status& status, const grpc::ClientContext& context);

// The error of a call that the program cancelled.
RpcError cancelled_error();

}  // namespace kandinsky
