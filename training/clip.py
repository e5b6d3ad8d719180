"""CLIP: the text and vision towers whose shared space the prior and the decoder speak."""

from __future__ import annotations

import collections
import itertools
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from training import scenes
from training.scenes import Scene

WIDTH = 96
WINDOW = 32  # tokens
EYE = 64  # the side of the pictures the vision tower sees, in pixels
BATCH = 32
FREE_COLOR_SHARE = 0.4  # of the pictures have colours without a word, so that form is told apart from colour
HEAD_WEIGHTS = {"shape": 4.0, "color": 1.0, "background": 1.0, "size": 1.0, "position": 1.0}
HEAD_NOISE = 0.15  # of the embeddings' spread, added before the heads: keeps classes far apart
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def words() -> list[str]:
    """Every word a caption can contain, and a few that people write."""
    text = [*scenes.SHAPES, *scenes.COLORS, *scenes.TEMPLATES, *scenes.OPENINGS, "on a background shape"]
    text += [
        word for table in (scenes.SIZE_WORDS, scenes.POSITION_WORDS) for row in table.values() for word in row
    ]
    text += ["the an and is photo painting image with no not"]
    return sorted(set(re.findall(r"[a-z]+", " ".join(text))))


def byte_pair_merges(vocabulary: Sequence[str]) -> list[tuple[str, str]]:
    """Merges, most frequent pair first, until every word is one token (Sennrich et al. 2016)."""
    spelled = [[*word[:-1], word[-1] + "</w>"] for word in vocabulary]
    merges = []
    while pairs := collections.Counter(pair for word in spelled for pair in itertools.pairwise(word)):
        left, right = max(sorted(pairs), key=lambda pair: pairs[pair])
        merges.append((left, right))
        for word in spelled:
            while (
                at := next((i for i in range(len(word) - 1) if word[i : i + 2] == [left, right]), None)
            ) is not None:
                word[at : at + 2] = [left + right]
    return merges


def write_tokenizer(folder: Path) -> None:
    """vocab.json and merges.txt: all bytes, all merges, and CLIP's two special tokens last."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    merges = byte_pair_merges(words())
    tokens = letters + [letter + "</w>" for letter in letters] + [a + b for a, b in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))


def load_tokenizer(cache: Path) -> CLIPTokenizer:
    """CLIP's tokenizer with this grammar's vocabulary."""
    folder = cache / "tokenizer"
    if not folder.exists():
        write_tokenizer(folder)
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=WINDOW)


def image_processor() -> CLIPImageProcessor:
    """CLIP's own preparation of pictures, at this tower's size."""
    return CLIPImageProcessor(size={"shortest_edge": EYE}, crop_size={"height": EYE, "width": EYE})


def build_text(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    """Two layers; its width is the embeddings', as PriorTransformer wants it."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=4 * WIDTH, projection_dim=WIDTH,
        num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=WINDOW,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return CLIPTextModelWithProjection(config)


def build_vision() -> CLIPVisionModelWithProjection:
    """Four layers over 8x8 patches."""
    config = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=4 * WIDTH, projection_dim=WIDTH, num_hidden_layers=4,
        num_attention_heads=4, image_size=EYE, patch_size=8,
    )  # fmt: skip
    model = CLIPVisionModelWithProjection(config)
    table = model.vision_model.embeddings.position_embedding.weight
    with torch.no_grad():
        table[1:] = plane_waves(EYE // 8, WIDTH)
    return model


def plane_waves(side: int, width: int) -> torch.Tensor:
    """Where each patch is, as sines and cosines, (side * side, width), as in Beyer et al. 2022.

    CLIP's own small random start drowns in flat, bright patches.
    """
    turns = torch.arange(side)[:, None] / 100 ** (torch.arange(width // 4) / (width // 4))
    waves = torch.cat([turns.sin(), turns.cos()], dim=1)
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=2).reshape(side * side, width)


def shrink(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (n, 3, side, side) in [0, 1] at the tower's size, as the image processor resizes them."""
    return F.interpolate(pictures, (EYE, EYE), mode="bicubic", antialias=True).clamp(0, 1)


def pixel_values(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (n, 3, EYE, EYE) in [0, 1] in the tower's units."""
    return (pictures - torch.tensor(CLIP_MEAN)[:, None, None]) / torch.tensor(CLIP_STD)[:, None, None]


def tokens(tokenizer: CLIPTokenizer, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, both (n, WINDOW)."""
    encoded = tokenizer(
        captions, padding="max_length", truncation=True, max_length=WINDOW, return_tensors="pt"
    )
    return encoded.input_ids, encoded.attention_mask


def named_mask(named: list[frozenset[str]]) -> torch.Tensor:
    """(n, attributes) bool: which attributes each caption names."""
    return torch.tensor([[name in row for name in scenes.ATTRIBUTES] for row in named])


class ClipStage:
    """Both towers, trained against each other and against the scenes' attributes."""

    name = "clip"
    learning_rate = 1e-3
    matrix_rate = 0.02
    ema_decay = 0.995

    def __init__(self, seed: int, cache: Path) -> None:
        torch.manual_seed(seed)
        self.seed = seed
        self.tokenizer = load_tokenizer(cache)
        self.text, self.vision = build_text(self.tokenizer), build_vision()
        # The heads are thrown away after training; they are linear so that the embedding says it plainly.
        self.heads = nn.ModuleDict(
            {name: nn.Linear(WIDTH, len(row)) for name, row in scenes.ATTRIBUTES.items()}
        )
        self.scale = nn.Parameter(torch.tensor(2.5))
        self.modules = nn.ModuleDict({"text": self.text, "vision": self.vision, "heads": self.heads})
        self.modules.register_parameter("scale", self.scale)

    def read(
        self, embeds: torch.Tensor, truth: torch.Tensor, told: torch.Tensor
    ) -> tuple[torch.Tensor, list[float]]:
        """Heads' loss on embeddings (n, WIDTH) against (n, attributes) where `told`, and their accuracies."""
        embeds = embeds + HEAD_NOISE * embeds.detach().std() * torch.randn_like(embeds)
        total, right = embeds.new_zeros(()), []
        for column, (name, head) in enumerate(self.heads.items()):
            rows = told[:, column]
            logits, wanted = head(embeds[rows]), truth[rows, column]
            total = total + HEAD_WEIGHTS[name] * F.cross_entropy(logits, wanted)
            right.append((logits.argmax(1) == wanted).float().mean().item())
        return total, right

    def loss(self, step: int, done: float) -> tuple[torch.Tensor, dict[str, float]]:
        """Contrastive loss (Radford et al. 2021) and linear attribute heads on both towers.

        Pairs whose caption is true of the other picture as well are left out of the contrast.
        """
        rng = random.Random(f"{self.seed}/{step}")
        batch: list[Scene] = [scenes.random_scene(rng) for _ in range(BATCH)]
        free = [rng.random() < FREE_COLOR_SHARE for _ in batch]
        named = [
            scenes.random_named(rng) - {"color", "background"} | {"shape"}
            if any_color
            else scenes.random_named(rng)
            for any_color in free
        ]
        drawing = scenes.lay_out(batch, rng)
        scenes.recolor(drawing, torch.tensor(free), torch.tensor(free))
        pictures = scenes.paint(drawing, scenes.masks(drawing, EYE))
        ids, mask = tokens(
            self.tokenizer, [scenes.caption(*row, rng) for row in zip(batch, named, strict=True)]
        )
        image = self.vision(pixel_values(pictures)).image_embeds
        text = self.text(ids, mask).text_embeds
        truth, told = torch.tensor([scene.indices() for scene in batch]), named_mask(named)
        also_true = ((truth[:, None] == truth[None]) | ~told[:, None]).all(-1) & ~torch.eye(
            BATCH, dtype=torch.bool
        )
        logits = self.scale.exp() * F.normalize(text, dim=1) @ F.normalize(image, dim=1).T
        logits = logits.masked_fill(also_true, -1e4)
        pairs = torch.arange(BATCH)
        contrast = (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2
        visible = torch.ones_like(told)
        visible[torch.tensor(free), 1:3] = False
        image_loss, right = self.read(image, truth, visible)
        text_loss, _ = self.read(text, truth, told)
        calm = 0.01 * (image.square().mean() - 1).square()
        figures = dict(zip(self.heads, right, strict=True)) | {
            "contrast": contrast.item(),
            "text": text_loss.item(),
        }
        return contrast + image_loss + 0.3 * text_loss + calm, figures
