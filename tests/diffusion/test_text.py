"""Prompts are cut at the tokenizer's window as diffusers cuts them, and told what was cut."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.diffusion.text import tokenize
from kandinsky_server.families.stages import PriorStage
from kandinsky_server.testing.oracle import oracle

LONG = "a red cat in the house " * 20


@pytest.fixture(scope="module")
def prior(tiny_model: Path) -> PriorStage:
    stage = Checkpoints(torch.device("cpu"), torch.float32).load("prior", str(tiny_model / "prior"))
    assert isinstance(stage, PriorStage)
    return stage


@pytest.mark.parametrize("prompt", ["", "a red cat", LONG, "Кот, 猫 & 🐈!"])
def test_window_is_always_full(prior: PriorStage, prompt: str) -> None:
    tokens = tokenize(prior, prompt)
    assert tokens.ids.shape == tokens.mask.shape == (77,)
    assert tokens.ids.dtype == np.int64
    assert tokens.mask.dtype == bool


def test_short_prompt_loses_nothing(prior: PriorStage) -> None:
    assert tokenize(prior, "a red cat").removed == ""


def test_long_prompt_tells_what_was_cut(prior: PriorStage) -> None:
    tokens = tokenize(prior, LONG)
    # 75 tokens fit between start and end marks, and each word of LONG is one.
    assert tokens.removed.split() == LONG.split()[75:]
    assert tokens.mask.all()


def test_cut_prompt_means_what_it_means_to_diffusers(prior: PriorStage, tiny_model: Path) -> None:
    tokens = tokenize(prior, LONG)
    embed = prior.text_encoder(torch.from_numpy(tokens.ids)[None]).text_embeds
    pipeline = oracle(tiny_model)._pipeline("KandinskyV22PriorPipeline", "prior")
    expected, _, mask = pipeline._encode_prompt(LONG, "cpu", 1, do_classifier_free_guidance=False)
    torch.testing.assert_close(embed, expected)
    np.testing.assert_array_equal(tokens.mask[None], mask.bool().numpy())


def test_threads_do_not_disturb_each_other(prior: PriorStage) -> None:
    prompts = ["a red cat", LONG] * 300
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda prompt: tokenize(prior, prompt), prompts))
    alone = {prompt: tokenize(prior, prompt) for prompt in prompts[:2]}
    for prompt, tokens in zip(prompts, found, strict=True):
        np.testing.assert_array_equal(tokens.ids, alone[prompt].ids)
        assert tokens.removed == alone[prompt].removed
