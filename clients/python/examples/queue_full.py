"""Learns from a server that is full how full it is, and when to come again."""

import os

from kandinsky_client import Embedding, Kandinsky, OverloadedError

embedding = Embedding.from_array([0.1] * 1280)
with Kandinsky(os.environ.get("KANDINSKY_TARGET", "localhost:50051"), retries=0) as client:
    try:
        client.decode(embedding, seed=1, guidance_scale=1)
    except OverloadedError as error:
        print(f"the queue is full: try again in {error.retry_delay:.1f} s")
        print(f"it holds {error.metadata['queue_size']} at the most")
