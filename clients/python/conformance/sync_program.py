"""The conformance program of `Kandinsky`: reads a case a line, writes a report a line."""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from calls import arguments, client_options, estimated
from kandinsky_api.v1 import events_pb2, image_pb2, prior_pb2, server_pb2
from kandinsky_client import CallCancelledError, Kandinsky, load_embeddings, save_embeddings
from reports import Report, estimate_message

MODULES = (events_pb2, image_pb2, prior_pb2, server_pb2)


def main() -> None:
    """Carries out cases until the input ends."""
    for line in sys.stdin:
        case = json.loads(line)
        report = Report(case)
        try:
            carry_out(case, report)
        except Exception as error:
            report.fail(error)
        print(json.dumps(report.content), flush=True)


def carry_out(case: Mapping[str, Any], report: Report) -> None:
    """Carries out one case; raises what the client raises."""
    match case["call"]:
        case "embedding_file":
            save_embeddings(case["save_file"], load_embeddings(case["embeddings_file"]))
        case "round_trip":
            kind = next(getattr(module, case["type"]) for module in MODULES if hasattr(module, case["type"]))
            report.answer("message", kind.FromString(base64.b64decode(case["message"])))
        case _:
            with Kandinsky(case["target"], **client_options(case)) as client:
                began = time.monotonic()
                try:
                    call(client, case, report)
                finally:
                    report.content["elapsed_seconds"] = time.monotonic() - began
                    time.sleep(case.get("linger_seconds", 0))


def call(client: Kandinsky, case: Mapping[str, Any], report: Report) -> None:
    """Makes the case's call."""
    match case["call"]:
        case "info":
            report.answer("info", client.info())
        case "estimate":
            name, given = estimated(case)
            report.answer("estimate", estimate_message(getattr(client.estimate, name)(**given)))
        case "health":
            report.content["health"] = client.health(case.get("service", ""))
        case "embed_image":
            stream(client, "interpolate", case, report)
        case name:
            stream(client, name, case, report)


def stream(client: Kandinsky, name: str, case: Mapping[str, Any], report: Report) -> None:
    """Reads the events of one of the seven calls."""
    cancelling = threading.Event()
    with getattr(client.stream, name)(**arguments(case)) as events:

        def cancel() -> None:
            cancelling.set()
            events.close()

        timer = threading.Timer(case.get("cancel_after_seconds", 0), cancel)
        if "cancel_after_seconds" in case:
            timer.start()
        try:
            for event in events:
                if report.add(event):
                    cancel()
        except CallCancelledError:
            if not cancelling.is_set():
                raise
            report.content["cancelled"] = True
        finally:
            timer.cancel()
    report.save()


if __name__ == "__main__":
    main()
