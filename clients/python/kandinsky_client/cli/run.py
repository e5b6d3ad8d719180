"""Runs a call for a command: with bars, or as the question what it would cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from kandinsky_client.assembly import embedding_set, image_set
from kandinsky_client.cli.files import prepare
from kandinsky_client.cli.flags import EmbeddingFlags, Encoding, ImageFlags
from kandinsky_client.cli.output import (
    embedding_file,
    image_file,
    image_format,
    save_embeddings,
    save_images,
    show,
)
from kandinsky_client.cli.progress import visible, watched
from kandinsky_client.cli.session import Session
from kandinsky_client.events import Event
from kandinsky_client.methods import View

Call = Callable[[View[Any], dict[str, Any]], Any]


def run_embeddings(session: Session, call: Call, flags: EmbeddingFlags, name: str) -> None:
    """Makes embeddings and saves them; `name` is the stem of the file in a folder."""
    file = embedding_file(flags.output, name)
    if not session.estimating:
        prepare(file)
    events = _run(session, call, flags.call_options(), as_json=flags.json)
    if events:
        save_embeddings(embedding_set(events), file, as_json=flags.json)


def run_images(
    session: Session, call: Call, flags: ImageFlags, name: str, prompts: Sequence[str | None] = ()
) -> None:
    """Makes images and saves them; `name` is the stem of the files in a folder.

    `prompts` are those of the embeddings that are given, where they are known.
    """
    encoding = image_format(flags.output, flags.format)
    file = image_file(flags.output, name, encoding)
    if not session.estimating:
        prepare(file)
    options = {**flags.call_options(), "format": encoding.value, "embed_receipt": encoding is Encoding.png}
    events = _run(session, call, options, as_json=flags.json)
    if events:
        save_images(image_set(events), file, prompts, as_json=flags.json)


def _run(session: Session, call: Call, options: dict[str, Any], *, as_json: bool) -> list[Event]:
    with session.client() as client:
        if session.estimating:
            show(asdict(call(client.estimate, options)), as_json=as_json)
            return []
        if not visible():
            options = {**options, "progress_interval_steps": 0}
        with call(client.stream, options) as events:
            return watched(events)
