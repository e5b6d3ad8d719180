"""Makes an embedding once, keeps it in a file, and makes four pictures from that file."""

import os

from kandinsky_client import EmbeddingPair, Kandinsky

with Kandinsky(os.environ.get("KANDINSKY_TARGET", "localhost:50051")) as client:
    (cube,) = client.prior("a red cube on a blue table", seed=7)
    cube.save("embedding.safetensors")

    kept = EmbeddingPair.load("embedding.safetensors")
    for seed in (1, 2, 3, 4):
        (result,) = client.decode(kept, seed=seed, width_px=64, height_px=64, step_count=10)
        result.save(f"decoded-{seed}.png")
        print(f"decoded-{seed}.png: {result.width_px}x{result.height_px}, seed {result.seed}")
