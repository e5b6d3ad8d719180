"""Repaints the white part of a mask: `inpaint.py picture.png mask.png`."""

import os
import sys
from pathlib import Path

from kandinsky_client import Kandinsky

picture, mask = map(Path, sys.argv[1:])
with Kandinsky(os.environ.get("KANDINSKY_TARGET", "localhost:50051")) as client:
    star = client.prior("a yellow star", seed=7)
    images = client.inpaint(star, picture, mask, seed=7, width_px=64, height_px=64, step_count=10)
    images[0].save("inpainted.png")
    for warning in images.completed.warnings:
        print(f"warning: {warning}")
