"""Who gets a place for a message: by turns, the slow ones last, and none of them for long while others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from kandinsky_server.errors import ReceiveTimedOut, ReceivingFull
from kandinsky_server.rpc import receiving
from kandinsky_server.rpc.receiving import Receiving

PATIENCE = 0.1


class Sender:
    """Sends when it is told to; ``begun`` are the groups whose messages have been read, in order."""

    begun: list[str]

    def __init__(self, places: Receiving) -> None:
        self.places = places
        self.begun = []

    def send(self, group: str, arrives: asyncio.Event | None = None) -> asyncio.Task[str]:
        """A message that never arrives unless there is an event for it."""

        async def read() -> str:
            self.begun.append(group)
            await (arrives or asyncio.Event()).wait()
            return group

        return asyncio.create_task(self.places.receive(group, read))


async def failure(task: Awaitable[str]) -> type[BaseException]:
    with pytest.raises((ReceivingFull, ReceiveTimedOut)) as caught:
        await task
    return caught.type


async def test_who_receives_least_is_let_in_first() -> None:
    sender = Sender(Receiving(2, 60, 60))
    arrives = asyncio.Event()
    first = [sender.send("many", arrives) for _ in range(4)]
    await asyncio.sleep(0)
    late = [sender.send("few", arrives) for _ in range(2)]
    await asyncio.sleep(0)
    arrives.set()
    await asyncio.gather(*first, *late)
    assert sender.begun[:3] == ["many", "many", "few"]
    assert not sender.places.readings
    assert not sender.places.waiting


async def test_a_slow_message_is_ended_only_when_a_group_waits_that_receives_less() -> None:
    sender = Sender(Receiving(2, 60, PATIENCE))
    slow = [sender.send("a") for _ in range(3)]
    await asyncio.sleep(4 * PATIENCE)
    assert not any(task.done() for task in slow)
    arrived = asyncio.Event()
    arrived.set()
    assert await sender.send("b", arrived) == "b"
    assert await failure(slow[0]) == ReceivingFull
    assert sender.begun == ["a", "a", "b", "a"]
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_many_who_were_slow_keep_nobody_waiting() -> None:
    """However many connections trickle: a newcomer is the next."""
    sender = Sender(Receiving(2, 60, PATIENCE))
    groups = [str(number) for number in range(20)]
    sender.places._slow.update(dict.fromkeys(groups))
    tasks = [sender.send(group) for group in groups]
    await asyncio.sleep(0)
    arrived = asyncio.Event()
    arrived.set()
    assert await sender.send("newcomer", arrived) == "newcomer"
    assert sender.begun.index("newcomer") <= 4
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_sends_in_time_again_is_slow_no_longer() -> None:
    sender = Sender(Receiving(1, 0.05, PATIENCE))
    assert await failure(sender.send("a")) == ReceiveTimedOut
    assert "a" in sender.places._slow
    arrived = asyncio.Event()
    arrived.set()
    await sender.send("a", arrived)
    assert not sender.places._slow


async def test_the_longest_line_makes_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "WAITING", 3)
    sender = Sender(Receiving(1, 60, 60))
    many = [sender.send("many") for _ in range(4)]
    await asyncio.sleep(0)
    few = sender.send("few")
    await asyncio.sleep(0)
    assert await failure(many[3]) == ReceivingFull
    assert await failure(sender.send("many")) == ReceivingFull
    assert not few.done()
    for task in (*many, few):
        task.cancel()
    await asyncio.gather(*many, few, return_exceptions=True)
    assert not sender.places.readings
    assert not sender.places.waiting


async def test_who_gives_up_while_waiting_leaves_nothing() -> None:
    sender = Sender(Receiving(1, 60, 60))
    arrives = asyncio.Event()
    first, second, third = (sender.send(group, arrives) for group in "abc")
    await asyncio.sleep(0)
    second.cancel()
    arrives.set()
    assert await third == "c"
    assert await first == "a"
    assert sender.begun == ["a", "c"]
    assert not sender.places.readings
