"""The soak in short; and that its books, and its checksums, would show what is wrong."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kandinsky_api.v1 import events_pb2
from kandinsky_api.v1 import types_pb2 as pb

from benchmarks import soak
from benchmarks.accounts import Accounts
from benchmarks.exchange import Answer
from benchmarks.repeats import Repeats
from benchmarks.setting import Setting

DONE = events_pb2.Event(completed=events_pb2.Completed())
STEP = events_pb2.Event(progress=events_pb2.Progress(step=1))


def answer(code: str = "OK", *events: events_pb2.Event, heard: bool = True) -> Answer:
    return Answer("Decode", code, heard, events)


@pytest.mark.parametrize(
    ("got", "whole"),
    [
        (answer("OK", STEP, DONE), True),
        (answer("OK", STEP), False),
        (answer("OK", DONE, DONE), False),
        (answer("OK", DONE, STEP), False),
        (answer("INTERNAL", STEP), True),
        (answer("INTERNAL", STEP, DONE), False),
    ],
)
def test_an_answer_is_one_end(got: Answer, whole: bool) -> None:
    assert got.whole == whole


@pytest.fixture
def accounts() -> Accounts:
    """Three answered, one refused, and two given up."""
    books = Accounts()
    for code in ("OK", "OK", "OK", "INVALID_ARGUMENT"):
        books.enter(answer(code))
    for code in ("CANCELLED", "DEADLINE_EXCEEDED"):
        books.enter(answer(code, heard=False))
    return books


@pytest.mark.parametrize(
    "unheard", [("CANCELLED", "CANCELLED"), ("CANCELLED", "OK"), ("DEADLINE_EXCEEDED",) * 2]
)
def test_equal_books_show_nothing(accounts: Accounts, unheard: tuple[str, ...]) -> None:
    counted = Counter({("Decode", "OK"): 3, ("Decode", "INVALID_ARGUMENT"): 1})
    counted.update(("Decode", code) for code in unheard)
    assert not list(accounts.discrepancies(counted))


@pytest.mark.parametrize(
    ("counted", "missing"),
    [
        ({"OK": 3, "INVALID_ARGUMENT": 1, "CANCELLED": 1}, 1),
        ({"OK": 3, "INVALID_ARGUMENT": 1, "CANCELLED": 3}, 1),
        ({"OK": 2, "INVALID_ARGUMENT": 1, "CANCELLED": 3}, 2),
        ({"OK": 4, "CANCELLED": 2}, 2),
        ({"OK": 3, "INVALID_ARGUMENT": 1, "CANCELLED": 1, "INTERNAL": 1}, 1),
        ({}, 6),
    ],
)
def test_unequal_books_show_by_how_much(accounts: Accounts, counted: dict[str, int], missing: int) -> None:
    found = list(accounts.discrepancies(Counter({("Decode", code): n for code, n in counted.items()})))
    assert sum(by for by, _ in found) == missing
    assert all(text.startswith("Decode: ") for _, text in found)


def test_another_rpcs_count_does_not_make_up_for_one(accounts: Accounts) -> None:
    counted = Counter({("Decode", "OK"): 2, ("Img2Img", "OK"): 1, ("Decode", "INVALID_ARGUMENT"): 1})
    counted["Decode", "CANCELLED"] = 2
    assert {text.partition(":")[0] for _, text in accounts.discrepancies(counted)} == {"Decode", "Img2Img"}


def embedded(*values: float) -> Answer:
    data = np.asarray(values, "<f4").tobytes()
    pair = pb.EmbeddingPair(positive=pb.Embedding(data=data), negative=pb.Embedding())
    event = events_pb2.Event(embedding=events_pb2.EmbeddingResult(embeddings=pair))
    return Answer("Prior", "OK", True, (event,))


def test_a_result_may_round_otherwise_but_not_change() -> None:
    repeats = Repeats()
    for values in ((0.5, 1.0), (0.5, 1.0 + 1e-6), (0.5, 1.1), (0.5,), (0.5, float("nan")), ()):
        repeats.compare(1, embedded(*values))
    repeats.compare(2, embedded(9.0))
    assert (repeats.compared, repeats.changed) == (7, 4)


@pytest.mark.slow
def test_a_short_soak_finds_nothing(tiny_model: Path) -> None:
    """But for memory, which a server that has just started still takes."""
    figures = {figure.name: figure for figure in soak.measure(Setting(tiny_model, soak_requests=150))}
    for name, figure in figures.items():
        assert figure.verdict == "pass" or "memory" in name, (name, figure.measured, figure.note)
    assert len(figures) == 5
