"""Goes from one prompt to another in five steps, and makes a picture of each."""

import os

from kandinsky_client import Kandinsky

STEPS = 5

with Kandinsky(os.environ.get("KANDINSKY_TARGET", "localhost:50051")) as client:
    shares = [k / (STEPS - 1) for k in range(STEPS)]
    path = client.interpolate(["a red cube", "a blue ball"], [[1 - t, t] for t in shares], seed=7)
    for number, embedding in enumerate(path, start=1):
        (result,) = client.decode(embedding, seed=7, width_px=64, height_px=64, step_count=10)
        result.save(f"path-{number}.png")
