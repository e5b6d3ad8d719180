"""The gallery: training pictures seen once by the frozen MoVQ and CLIP, kept on disk for the UNets."""

from __future__ import annotations

import collections
import dataclasses
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import VQModel
from tqdm import tqdm

from training import clip, loop, scenes

SHARD = 500


@dataclasses.dataclass
class Gallery:
    """n pictures, as the decoder stages see them."""

    indices: torch.Tensor  # (n, 5) the scenes' attributes, as in scenes.ATTRIBUTES
    latents: torch.Tensor  # (n, 4, 16, 16)
    embeds: torch.Tensor  # (n, clip.WIDTH)
    hints: torch.Tensor  # (n, 4, 16, 16) what the hint block makes of the depth map, see training/hint.py

    def __len__(self) -> int:
        return len(self.indices)

    def groups(self, *attributes: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Rows that agree in `attributes`: the group of each row, and the rows of each group."""
        columns = [list(scenes.ATTRIBUTES).index(name) for name in attributes]
        keys, group = self.indices[:, columns].unique(dim=0, return_inverse=True)
        members: dict[int, list[int]] = collections.defaultdict(list)
        for row, key in enumerate(group.tolist()):
            members[key].append(row)
        return group, [torch.tensor(members[key]) for key in range(len(keys))]


def hint_features(masks: torch.Tensor) -> torch.Tensor:
    """Depth maps (n, 1, 128, 128) in [0, 1] as the hint block passes them on: (n, 4, 16, 16) in [-1, 1]."""
    return F.pixel_unshuffle(F.avg_pool2d(masks, 4), 2) * 2 - 1


@torch.no_grad()
def make_shard(number: int, seed: int, movq: VQModel) -> dict[str, torch.Tensor]:
    """One shard; `seen` are the pictures as the vision tower will see them, in bytes."""
    rng = random.Random(f"{seed}/gallery/{number}")
    batch = [scenes.random_scene(rng) for _ in range(SHARD)]
    parts = collections.defaultdict(list)
    for start in range(0, SHARD, 8):
        drawing = scenes.lay_out(batch[start : start + 8], rng)
        mask = scenes.masks(drawing, scenes.CANVAS)
        pictures = scenes.paint(drawing, mask)
        parts["latents"].append(movq.encode(pictures * 2 - 1).latents.half())
        parts["seen"].append((clip.shrink(pictures) * 255).round().byte())
        parts["hints"].append(hint_features(mask).half())
    made = {name: torch.cat(tensors) for name, tensors in parts.items()}
    return made | {"indices": torch.tensor([scene.indices() for scene in batch])}


def build(cache: Path, seed: int, shards: int, movq: VQModel) -> None:
    """Make the shards that are not there yet, in random order so that two processes can share the work."""
    order = list(range(shards))
    random.shuffle(order)
    for number in tqdm(order, desc="gallery"):
        path = cache / "gallery" / f"{number}.pt"
        if not path.exists():
            loop.save(path, make_shard(number, seed, movq))


@torch.no_grad()
def look(shard: dict[str, torch.Tensor], towers: clip.ClipStage) -> dict[str, torch.Tensor]:
    """The shard with what the vision tower makes of its pictures in place of the pictures."""
    seen = shard.pop("seen").split(100)
    embeds = [towers.vision(clip.pixel_values(pictures.float() / 255)).image_embeds for pictures in seen]
    return shard | {"embeds": torch.cat(embeds)}


def load(cache: Path, towers: clip.ClipStage) -> Gallery:
    """All shards there are; the first process to load one adds the embeddings on disk."""
    shards = []
    for path in sorted((cache / "gallery").glob("*.pt")):
        shard = torch.load(path, weights_only=True)
        if "seen" in shard:
            shard = look(shard, towers)
            loop.save(path, shard)
        shards.append(shard)
    return Gallery(**{name: torch.cat([shard[name] for shard in shards]) for name in shards[0]})
