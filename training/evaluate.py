"""Score the toy model: do its pictures say what their prompts say? Writes JSON and contact sheets.

python -m training.evaluate [--only captions,inpaint] [--count 240] [--server localhost:50051]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from training.exam import Exam, Scores
from training.painter import DECODER_STEPS, PRIOR_STEPS, DiffusersPainter, Painter
from training.server_painter import ServerPainter

HERE = Path(__file__).parent
PART_NAMES = (
    *("meter", "chance", "captions", "seen", "unnamed"),
    *("inpaint", "controlnet", "interpolation", "img2img", "negative"),
)
PARTS: dict[str, Callable[[Exam], Scores]] = {name: getattr(Exam, name) for name in PART_NAMES}


def evaluate(painter: Painter, parts: Sequence[str], count: int, sheets: Path) -> dict[str, Scores]:
    """Run the parts asked for; every picture comes from `painter`."""
    exam, scores = Exam(painter, count, sheets), {}
    for part in parts:
        started = time.monotonic()
        scores[part] = PARTS[part](exam)
        print(f"{part} ({time.monotonic() - started:.0f} s): {json.dumps(scores[part])}", flush=True)
    return scores


def main() -> None:
    """Score a checkpoint through the diffusers pipelines, or what a server serves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, default=HERE.parent / "models" / "kandinsky_toy")
    parser.add_argument("--server", help="address of a server to score instead, such as localhost:50051")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run, by comma: %(default)s")
    parser.add_argument("--count", type=int, default=240, help="held-out captions; other parts scale with it")
    parser.add_argument("--out", type=Path, default=HERE / "scores.json")
    parser.add_argument("--sheets", type=Path, default=HERE / "sheets")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    painter = ServerPainter(options.server) if options.server else DiffusersPainter(options.checkpoint)
    scores = evaluate(painter, options.only.split(","), options.count, options.sheets)
    if options.out.exists():
        scores = json.loads(options.out.read_text())["scores"] | scores
    record = {"held_out_captions": options.count, "prior_steps": PRIOR_STEPS, "decoder_steps": DECODER_STEPS}
    options.out.write_text(json.dumps(record | {"scores": scores}, indent=2) + "\n")


if __name__ == "__main__":
    main()
