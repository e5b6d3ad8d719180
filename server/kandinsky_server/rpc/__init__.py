"""The gRPC layer: protobuf requests in, events out, errors as status."""
