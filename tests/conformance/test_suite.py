"""The suite itself: Python passes it, a wrong program does not, and nothing of the contract is left out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from kandinsky_api.v1 import errors_pb2

from conformance.cases import chosen, load_cases
from conformance.clients import find_clients
from conformance.fake_server.script import message_of, trailers_of
from conformance.golden import messages
from conformance.matching import differences
from conformance.paths import CLIENTS, GOLDEN, ROOT
from conformance.rpcs import REQUESTS, message_class, parse
from conformance.run import Run

FOLDER = Path(__file__).parent


def conformance(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "conformance", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
    )


@pytest.mark.slow
def test_a_wrong_program_fails() -> None:
    wrong = (
        "decode",
        "info",
        "retry_unavailable",
        "health_of_an_unknown_service",
        "reason_not_read",
        "embedding_file_f32",
    )
    cases = [flag for name in (*wrong, "health", "health_of_a_service") for flag in ("--case", name)]
    done = conformance("--clients", str(FOLDER), "--client", "wrong", *cases)
    assert done.returncode == 1
    for name in wrong:
        assert re.search(rf"^{name} +FAIL$", done.stdout, re.MULTILINE), name
    assert re.search(r"^health +known$", done.stdout, re.MULTILINE)
    assert re.search(r"^health_of_a_service +FIXED$", done.stdout, re.MULTILINE)
    for words in (
        "not Python's",
        "error is {'kind': 'rpc'",
        "of what the server saw, calls is 0, not 3",
        "it falls over",
        "a report that is no JSON",
        "is not byte for byte as Python's",
        "it was known to fail",
    ):
        assert words in done.stderr, words


@pytest.mark.slow
def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    (wrong,) = (client for client in find_clients(FOLDER) if client.name == "wrong")
    (case,) = chosen(load_cases(), ["seed_largest"])
    object.__setattr__(case, "limit_seconds", 1.0)
    run = Run(load_cases(), wrong, tmp_path)
    run.everything([wrong], [case], "grpc", examples=False, jobs=1)
    (outcome,) = run.results["wrong", "grpc"].values()
    assert run.failed
    assert "no report within 1 s" in outcome.problems[0]


def test_every_reason_has_a_case() -> None:
    said = {case.expect.get("error", {}).get("reason") for case in load_cases()}
    said |= {
        step["status"].get("reason")
        for case in load_cases()
        for call in case.script
        for step in call
        if "status" in step
    }
    names = {value.name for value in errors_pb2.ErrorReason.DESCRIPTOR.values if value.number}
    assert {name.removeprefix("ERROR_REASON_") for name in names} <= said


def test_every_client_takes_part() -> None:
    folders = {folder.name for folder in CLIENTS.iterdir() if (folder / "README.md").exists()}
    taking_part = {client.language for client in find_clients()}
    assert folders - {"web"} <= taking_part  # a page to look at, made with the TypeScript client
    names = {case.case for case in load_cases()}
    for client in find_clients():
        assert {name.partition(" over ")[0] for name in client.known_failures} <= names
        assert all(reason for reason in client.known_failures.values())


def test_every_call_and_message_has_a_case() -> None:
    assert {case.given["call"] for case in load_cases()} == {
        *REQUESTS,
        "info",
        "health",
        "embed_image",
        "embedding_file",
        "round_trip",
    }
    trips = {case.given["message"] for case in load_cases() if case.given["call"] == "round_trip"}
    assert len(trips) == len(messages()) == len(list(GOLDEN.glob("*.binpb")))


def test_every_script_and_request_can_be_made() -> None:
    for case in load_cases():
        if "request" in case.given:
            parse(REQUESTS[case.given["call"]], case.given["request"])
        for step in (step for call in case.script for step in call):
            if "status" in step:
                assert trailers_of(step["status"])
            elif "event" in step:
                assert message_of(step, message_class("GenerateResponse"))


def test_golden_messages_are_read_as_they_were_written() -> None:
    for name, message in messages().items():
        kept = (GOLDEN / f"{name}.binpb").read_bytes()
        assert type(message).FromString(kept) == message, f"{name}: python -m conformance.golden"
        with pytest.raises(DecodeError):
            type(message).FromString(kept + b"\xff")


@pytest.mark.parametrize(
    ("expected", "right", "wrong"),
    [
        (1, 1, 2),
        (True, True, 1),
        (None, None, 0),
        ({"a": 1}, {"a": 1, "b": 2}, {"b": 1}),
        ({"a": None}, {}, {"a": 1}),
        ([1, 2], [1, 2], [1, 2, 3]),
        ({"range": [1, 2]}, 1.5, 2.1),
        ({"range": [0, 1]}, 1, True),
        ({"one_of": [1, "a"]}, "a", "b"),
        ({"starts_with": "ab"}, "abc", "bab"),
        ({"contains": "ab"}, "cabc", "c"),
        ({"length": 2}, [1, 2], [1]),
        ({"has": [1, {"a": 1}]}, [{"a": 1, "b": 1}, 1], [1]),
        ({"collapsed": ["a", "b", "a"]}, ["a", "a", "b", "a"], ["a", "b"]),
        ({"any": True}, 0, None),
        ({"same_as": "python"}, "python's", "another"),
        ({"message_of": "Event", "value": "OgA="}, "OgA=", "CgA="),
        ({"message_of": "Event", "parsed": {"completed": {}}}, "OgA=", "CgA="),
    ],
)
def test_matching(expected: object, right: object, wrong: object) -> None:
    assert not list(differences(expected, right, "python's", "it"))
    (problem,) = differences(expected, wrong, "python's", "it")
    assert problem.startswith("it")


def test_results_are_held_against_pythons_of_the_same_index() -> None:
    """They come in any order, to Python too."""
    expected = [{"sha": {"same_as": "python"}}] * 2
    pythons = [{"index": 1, "sha": "b"}, {"index": 0, "sha": "a"}]
    assert not list(differences(expected, pythons[::-1], pythons, "it"))
    swapped = [{"index": 0, "sha": "b"}, {"index": 1, "sha": "a"}]
    assert len(list(differences(expected, swapped, pythons, "it"))) == 2
    assert list(differences(expected, [{"index": 0, "sha": "a"}, {"index": 2, "sha": "b"}], pythons, "it"))
