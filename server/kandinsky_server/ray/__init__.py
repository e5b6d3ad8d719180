"""Kandinsky on Ray Serve: each replica is one engine behind Serve's gRPC proxy. Only `deployment` needs Ray."""
