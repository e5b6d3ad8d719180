"""Equal work is done once, whoever asks and whoever gives up."""

import asyncio

import pytest
from kandinsky_server.engine.cache import SingleFlightCache


class Work:
    """A computation that ends when the test says so."""

    def __init__(self, cache: SingleFlightCache[str]) -> None:
        self.cache = cache
        self.begun = 0
        self.done = asyncio.Event()
        self.failure: Exception | None = None

    async def compute(self) -> str:
        self.begun += 1
        serial = self.begun
        await self.done.wait()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return f"value {serial}"

    def ask(self, key: str = "key") -> asyncio.Task[tuple[str, bool]]:
        return asyncio.create_task(self.cache.get(key, self.compute))


@pytest.fixture
async def work() -> Work:
    return Work(SingleFlightCache(2))


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_those_who_ask_at_once_share_one_computation(work: Work) -> None:
    asked = [work.ask() for _ in range(5)]
    await settle()
    work.done.set()
    assert await asyncio.gather(*asked) == [("value 1", False), *[("value 1", True)] * 4]
    assert work.begun == 1


async def test_later_ones_get_the_kept_value(work: Work) -> None:
    work.done.set()
    assert await work.ask() == ("value 1", False)
    assert await work.ask() == ("value 1", True)


async def test_other_keys_are_other_work(work: Work) -> None:
    work.done.set()
    assert await work.ask("one") == ("value 1", False)
    assert await work.ask("other") == ("value 2", False)


async def test_cancelled_leader_does_not_fail_the_followers(work: Work) -> None:
    leader, *followers = (work.ask() for _ in range(3))
    await settle()
    leader.cancel()
    await settle()
    work.done.set()
    assert await asyncio.gather(*followers) == [("value 2", False), ("value 2", True)]
    with pytest.raises(asyncio.CancelledError):
        await leader


async def test_failed_leader_fails_alone(work: Work) -> None:
    work.failure = ValueError("once")
    leader, follower = work.ask(), work.ask()
    await settle()
    work.done.set()
    with pytest.raises(ValueError, match="once"):
        await leader
    assert await follower == ("value 2", False)


async def test_cancelled_follower_leaves_the_work_running(work: Work) -> None:
    leader, follower = work.ask(), work.ask()
    await settle()
    follower.cancel()
    await settle()
    work.done.set()
    assert await leader == ("value 1", False)


async def test_the_least_recently_used_value_goes_first(work: Work) -> None:
    work.done.set()
    for key in ("a", "b", "a", "c"):
        await work.ask(key)
    assert (await work.ask("a"))[1]
    assert not (await work.ask("b"))[1]


async def test_size_zero_keeps_nothing_but_still_shares() -> None:
    work = Work(SingleFlightCache(0))
    asked = [work.ask(), work.ask()]
    await settle()
    work.done.set()
    assert [hit for _, hit in await asyncio.gather(*asked)] == [False, True]
    assert await work.ask() == ("value 2", False)
