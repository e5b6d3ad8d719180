"""Train the toy Kandinsky 2.2, one stage a command; each goes on from where it was stopped.

`make train` runs them all, in the order of STAGES but for `adopt`, which instead takes the shipped weights to go on from.
Interrupt at any time and run the same command again. The seeds are fixed; the budgets are running time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from training import adopt, clip, decoder, depth, export, gallery, loop, movq, prior

HERE = Path(__file__).parent
SEED = 22
SHARDS = 24
STAGES = ("adopt", "movq", "clip", "prior", "gallery", "decoder", "inpaint", "controlnet", "depth", "export")
MINUTES = {
    "movq": 24.0,
    "clip": 12.0,
    "prior": 12.0,
    "decoder": 75.0,
    "inpaint": 9.0,
    "controlnet": 11.0,
    "depth": 7.0,
}


def make(stage: str, cache: Path) -> loop.Stage:
    """The stage of that name, with what earlier stages left in the cache."""
    if stage == "movq":
        return movq.MovqStage(SEED)
    if stage == "clip":
        return clip.ClipStage(SEED, cache)
    if stage == "prior":
        return prior.PriorStage(SEED, cache)
    if stage == "depth":
        return depth.DepthStage(SEED)
    return decoder.DecoderStage(stage, SEED, cache, prior.load_clip(cache, SEED))


def run(stage: str, cache: Path, target: Path, minutes: float | None) -> None:
    """Do one stage; `minutes` None means its own budget."""
    if stage == "adopt":
        adopt.adopt(cache, SEED, target, MINUTES)
    elif stage == "gallery":
        gallery.build(cache, SEED, SHARDS, export.load_movq(cache, SEED))
    elif stage == "export":
        export.export(cache, SEED, target)
    else:
        loop.train(make(stage, cache), cache, minutes or MINUTES[stage])


def main() -> None:
    """Read the command line and run what it names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument(
        "--minutes", type=float, help="running time of the whole stage, earlier runs included"
    )
    parser.add_argument("--cache", type=Path, default=HERE.parent / ".cache" / "train")
    parser.add_argument("--target", type=Path, default=HERE.parent / "models" / "kandinsky_toy")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ranks", type=int, default=1, help="processes that train a UNet stage together")
    parser.add_argument("--rank", type=int, default=0, help="which of them this is, from 0")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.ranks > 1:
        where = "tcp://127.0.0.1:29522"
        torch.distributed.init_process_group("gloo", where, rank=options.rank, world_size=options.ranks)
    run(options.stage, options.cache, options.target, options.minutes)


if __name__ == "__main__":
    main()
