"""The conformance program of `AsyncKandinsky`: `sync_program.py` with `await`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from calls import arguments, client_options, estimated
from kandinsky_client import AsyncKandinsky
from reports import Report, estimate_message
from sync_program import carry_out as carry_out_alone

WITHOUT_SERVER = ("embedding_file", "round_trip")


async def main() -> None:
    """Carries out cases until the input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        case = json.loads(line)
        report = Report(case)
        try:
            await carry_out(case, report)
        except Exception as error:
            report.fail(error)
        print(json.dumps(report.content), flush=True)


async def carry_out(case: Mapping[str, Any], report: Report) -> None:
    """Carries out one case; raises what the client raises."""
    if case["call"] in WITHOUT_SERVER:  # files and messages know no event loop
        carry_out_alone(case, report)
        return
    async with AsyncKandinsky(case["target"], **client_options(case)) as client:
        began = time.monotonic()
        try:
            await call(client, case, report)
        finally:
            report.content["elapsed_seconds"] = time.monotonic() - began
            await asyncio.sleep(case.get("linger_seconds", 0))


async def call(client: AsyncKandinsky, case: Mapping[str, Any], report: Report) -> None:
    """Makes the case's call, and cancels its task when the case's time has come."""
    task = asyncio.create_task(answer(client, case, report))
    if "cancel_after_seconds" in case:
        asyncio.get_running_loop().call_later(case["cancel_after_seconds"], task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        report.content["cancelled"] = True


async def answer(client: AsyncKandinsky, case: Mapping[str, Any], report: Report) -> None:
    """Awaits the answer of the case's call."""
    match case["call"]:
        case "info":
            report.answer("info", await client.info())
        case "estimate":
            name, given = estimated(case)
            report.answer("estimate", estimate_message(await getattr(client.estimate, name)(**given)))
        case "health":
            report.content["health"] = await client.health(case.get("service", ""))
        case "embed_image":
            await stream(client, "interpolate", case, report)
        case name:
            await stream(client, name, case, report)


async def stream(client: AsyncKandinsky, name: str, case: Mapping[str, Any], report: Report) -> None:
    """Reads the events of one of the seven calls; cancels its own task at the case's event."""
    task = asyncio.current_task()
    assert task
    async with getattr(client.stream, name)(**arguments(case)) as events:
        async for event in events:
            if report.add(event):
                task.cancel()
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
