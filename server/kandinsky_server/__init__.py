"""Serves Kandinsky 2.2 over gRPC."""
