"""What a request is forecast to do is what it then does: every RPC's work is said once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kandinsky_server.engine.run import Run
from kandinsky_server.engine.work import Work
from kandinsky_server.testing.oracle import Oracle, oracle
from kandinsky_server.testing.pipelines import EMBEDDING_PIPELINES, IMAGE_PIPELINES, PROMPT, Pipeline, Variant
from kandinsky_server.testing.running import RunningServer


class Books:
    """What one server's requests were admitted with, and what they then gave the engine."""

    def __init__(self, server: RunningServer) -> None:
        self.admitted: list[Work[Any]] = []
        self.runs: dict[Work[Any], Run[Any]] = {}
        app = server.app
        admit, submit = app.admission.admit, app.engine.submit

        def admitting(ticket: Any, works: list[Work[Any]], ask_less: Any) -> Any:
            self.admitted += works
            return admit(ticket, works, ask_less)

        def submitting(work: Work[Any], *arguments: Any, **options: Any) -> Any:
            assert work not in self.runs, "it begins twice"
            assert all(self.runs[need].finished for need in work.needs), (
                "it begins before what it needs has ended"
            )
            self.runs[work] = submit(work, *arguments, **options)
            return self.runs[work]

        app.admission.admit, app.engine.submit = admitting, submitting


@pytest.fixture(scope="module")
def plain(tiny_model: Path) -> Iterator[RunningServer]:
    """A server that keeps no embeddings, so that every request does all of its work."""
    with RunningServer(tiny_model, prior_cache_size=0) as running:
        yield running


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Oracle:
    return oracle(tiny_model)


@pytest.fixture
def books(plain: RunningServer) -> Iterator[Books]:
    app = plain.app
    yield Books(plain)
    del app.admission.admit, app.engine.submit


@pytest.mark.parametrize("variant", [Variant(count=2), Variant(negative="blue")], ids=str)
@pytest.mark.parametrize("pipeline", [*EMBEDDING_PIPELINES, *IMAGE_PIPELINES], ids=lambda each: each.__name__)
def test_all_work_that_was_planned_is_begun_and_nothing_else(
    plain: RunningServer, books: Books, reference: Oracle, pipeline: Pipeline, variant: Variant
) -> None:
    case = pipeline(reference, variant)
    with plain.client() as client:
        case.call(client)
    assert books.admitted
    assert set(books.runs) == set(books.admitted)


def test_a_preview_is_no_planned_work(plain: RunningServer, books: Books) -> None:
    """It calls MoVQ just as the end of an image does; the plan keeps the image's own call until that begins."""
    options: dict[str, Any] = {"step_count": 4, "width_px": 64, "height_px": 64, "preview_interval_steps": 1}
    with plain.client() as client:
        previews = [
            event
            for event in client.stream.generate(PROMPT, image_count=2, prior_step_count=2, **options)
            if type(event).__name__ == "Preview"
        ]
    assert previews
    assert set(books.admitted) < set(books.runs)
    assert {work.key.network for work in set(books.runs) - set(books.admitted)} == {"movq_decoder"}
