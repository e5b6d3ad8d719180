"""Calls a Kandinsky 2.2 gRPC server."""
