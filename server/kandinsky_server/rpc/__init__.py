"""The face: protobuf to requests, events to protobuf, errors to status."""
