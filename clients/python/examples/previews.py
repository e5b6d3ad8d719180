"""Watches a picture being made: progress, previews, and the picture itself."""

import os
from pathlib import Path

from kandinsky_client import ImageReady, Kandinsky, Preview, Progress

with Kandinsky(os.environ.get("KANDINSKY_TARGET", "localhost:50051")) as client:
    for event in client.stream.generate(
        "a green ball", seed=7, width_px=64, height_px=64, step_count=10, preview_interval_steps=3
    ):
        match event:
            case Progress():
                print(f"{event.stage}: step {event.step} of {event.step_count}")
            case Preview():
                Path(f"preview-{event.step}.jpg").write_bytes(event.data)
            case ImageReady():
                event.result.save("generated.png")
