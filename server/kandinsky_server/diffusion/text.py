"""Prompts to token ids, cut at the tokenizer's window as diffusers cuts them."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kandinsky_server.families.stages import PriorStage

_one_at_a_time = threading.Lock()
"""A fast tokenizer keeps its padding and truncation as state: two threads would pad for one another."""


@dataclass(frozen=True)
class Tokens:
    """Token ids [T] int64 and mask [T] bool; ``removed`` is the text that did not fit, or empty."""

    ids: NDArray[np.int64]
    mask: NDArray[np.bool_]
    removed: str


def tokenize(stage: PriorStage, prompt: str) -> Tokens:
    """Pads or cuts to the window. Same calls as ``_encode_prompt`` in diffusers' pipeline_kandinsky2_2_prior.py."""
    tokenizer, window = stage.tokenizer, stage.token_count
    with _one_at_a_time:
        fitted = tokenizer(
            [prompt], padding="max_length", max_length=window, truncation=True, return_tensors="np"
        )
        whole = tokenizer([prompt], padding="longest", return_tensors="np", verbose=False).input_ids
    removed = tokenizer.batch_decode(whole[:, window - 1 : -1])[0] if whole.shape[1] > window else ""
    ids = np.asarray(fitted.input_ids[0], dtype=np.int64)
    mask = np.asarray(fitted.attention_mask[0], dtype=np.bool_)
    return Tokens(ids, mask, removed)
