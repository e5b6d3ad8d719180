"""`make demo`: a running server, every RPC once, and a picture of it all."""
