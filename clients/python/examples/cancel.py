"""Stops a call at its first preview; the server frees its place within a step."""

import os

from kandinsky_client import Kandinsky, Preview

with (
    Kandinsky(os.environ.get("KANDINSKY_TARGET", "localhost:50051")) as client,
    client.stream.generate("a green ball", seed=7, step_count=100, preview_interval_steps=3) as events,
):
    preview = next(event for event in events if isinstance(event, Preview))
    events.close()
    print(f"cancelled after step {preview.step}")
