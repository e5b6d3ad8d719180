"""Between a request's tasks and its stream: results are kept, news is replaced."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from kandinsky_server.flows.events import Event, Progress
from kandinsky_server.flows.mailbox import Mailbox


def progress(step: int, index: int = 0) -> Progress:
    return Progress("decoder", index, step, 1000)


async def read(mailbox: Mailbox, *posts: Event | tuple[str, Event]) -> list[Event]:
    """What a reader gets who comes when all has been posted; a pair is posted by replacing."""

    async def work() -> None:
        for post in posts:
            if isinstance(post, tuple):
                mailbox.replace(*post)
            else:
                mailbox.put(post)

    return [event async for event in mailbox.stream(work)]


@pytest.fixture
async def mailbox() -> Mailbox:
    return Mailbox()


async def test_a_late_reader_gets_the_newest_news_only(mailbox: Mailbox) -> None:
    posts = [("news", progress(step)) for step in range(1000)]
    assert await read(mailbox, *posts) == [progress(999)]


async def test_news_of_each_key_is_kept(mailbox: Mailbox) -> None:
    posts = [(f"news {index}", progress(step, index)) for step in (1, 2) for index in (0, 1)]
    assert await read(mailbox, *posts) == [progress(2, 0), progress(2, 1)]


async def test_every_result_arrives_in_order(mailbox: Mailbox) -> None:
    results = [progress(step) for step in range(1000)]
    assert await read(mailbox, *results) == results


async def test_unread_news_is_known_to_wait(mailbox: Mailbox) -> None:
    mailbox.replace("news", progress(1))
    assert mailbox.waiting("news")
    await read(mailbox)
    assert not mailbox.waiting("news")


async def test_a_failure_comes_after_what_was_posted(mailbox: Mailbox) -> None:
    async def work() -> None:
        mailbox.put(progress(1))
        raise ValueError("then")

    events = mailbox.stream(work)
    assert await anext(events) == progress(1)
    with pytest.raises(ValueError, match="then"):
        await anext(events)


async def test_closing_the_stream_ends_the_work(mailbox: Mailbox) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            mailbox.put(progress(1))
            await asyncio.Event().wait()
        finally:
            ended.set()

    stream = mailbox.stream(work)
    assert isinstance(stream, AsyncGenerator)
    async with aclosing(stream) as events:
        assert await anext(events) == progress(1)
    assert ended.is_set()
