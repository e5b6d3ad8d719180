"""What every client must do, as data, and the program that holds each client to it."""

import os

# Read when grpc and transformers are first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # lines of broken connections, which many cases cause
os.environ.setdefault("TQDM_DISABLE", "1")  # a bar for each stage that is loaded
