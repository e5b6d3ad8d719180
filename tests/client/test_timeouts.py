"""A timeout is seconds above 0, or no limit; everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from kandinsky_client import AsyncKandinsky, Kandinsky
from kandinsky_client.cli import main

from tests.client.fake_server import FakeServer
from tests.client.test_calls import PAIR

NO_LIMIT = [None, math.inf, 1e8, 1e10, 1e300, 10**400]
NO_TIMEOUT = [0, 0.0, -1, -math.inf, math.nan]

CALLS: dict[str, Callable[[Kandinsky, Any], object]] = {
    "prior": lambda client, timeout: client.prior("a", timeout=timeout),
    "decode": lambda client, timeout: client.decode(PAIR, timeout=timeout),
    "stream": lambda client, timeout: list(client.stream.prior("a", timeout=timeout)),
    "estimate": lambda client, timeout: client.estimate.prior("a", timeout=timeout),
    "info": lambda client, timeout: client.info(timeout=timeout),
    "health": lambda client, timeout: client.health(timeout=timeout),
}


@pytest.mark.parametrize("call", CALLS)
def test_of_a_call(client: Kandinsky, call: str) -> None:
    for timeout in NO_LIMIT:
        assert CALLS[call](client, timeout)
    for timeout in NO_TIMEOUT:
        with pytest.raises(ValueError, match="timeout must be above 0"):
            CALLS[call](client, timeout)
    with pytest.raises(TypeError, match="timeout must be a number"):
        CALLS[call](client, "5")


def test_of_a_client(target: str) -> None:
    for timeout in NO_LIMIT:
        with Kandinsky(target, timeout=timeout) as client:
            assert client.info().device == "cpu"
    for timeout in NO_TIMEOUT:
        with pytest.raises(ValueError, match="timeout must be above 0"):
            Kandinsky(target, timeout=timeout)


def test_of_ready(client: Kandinsky) -> None:
    for timeout in [0, *NO_LIMIT]:
        assert client.ready(timeout=timeout)
    for timeout in (-1, math.nan):
        with pytest.raises(ValueError, match="timeout must be 0 or more"):
            client.ready(timeout=timeout)


async def test_of_the_async_client(target: str, async_client: AsyncKandinsky) -> None:
    for timeout in NO_LIMIT:
        assert await async_client.prior("a", timeout=timeout)
        assert await async_client.ready(timeout=timeout)
    for timeout in NO_TIMEOUT:
        with pytest.raises(ValueError, match="timeout must be above 0"):
            await async_client.prior("a", timeout=timeout)
        with pytest.raises(ValueError, match="timeout must be above 0"):
            await async_client.health(timeout=timeout)
        with pytest.raises(ValueError, match="timeout must be above 0"):
            AsyncKandinsky(target, timeout=timeout)


def test_of_the_command_line(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    for timeout, code in [("inf", 0), ("1e10", 0), ("0", 2), ("-1", 2), ("nan", 2), ("soon", 2)]:
        with pytest.raises(SystemExit) as ended:
            main(["--target", target, "--timeout", timeout, "info"])
        assert (ended.value.code or 0) == code, timeout
    assert "above 0" in capsys.readouterr().err


def test_nothing_is_sent_with_a_wrong_one(client: Kandinsky, server: FakeServer) -> None:
    with pytest.raises(ValueError, match="timeout"):
        client.stream.prior("a", timeout=0)
    assert not server.requests
