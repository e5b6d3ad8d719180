"""The results of one call as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Generic, TypeVar, overload

from kandinsky_api.v1 import events_pb2

from kandinsky_client.embedding_file import save_embeddings
from kandinsky_client.receipts import Timings
from kandinsky_client.results import EmbeddingResult, ImageResult


@dataclass(frozen=True)
class Completed:
    """The end of a stream that succeeded.

    Args:
        embedding_count: How many embeddings it carried.
        image_count: How many images it carried.
        step_count: How many denoising steps were run for it, over all results.
        seed: The seed of the first result: the call's, or the one that was drawn for it.
        timings: Where the time went.
        warnings: What the caller may not have meant, a sentence each, such as of a mask that repaints nothing.
    """

    embedding_count: int
    image_count: int
    step_count: int
    seed: int
    timings: Timings
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_message(cls, message: events_pb2.Completed) -> Completed:
        """Reads the wire's form."""
        return cls(
            embedding_count=message.embedding_count,
            image_count=message.image_count,
            step_count=message.step_count,
            seed=message.seed,
            timings=Timings.from_message(message.timings),
            warnings=tuple(message.warnings),
        )


ResultT = TypeVar("ResultT", EmbeddingResult, ImageResult)


class ResultSet(Sequence[ResultT], Generic[ResultT]):
    """The results of one call in the request's order.

    Args:
        results: The results, in any order.
        completed: The end of the stream.
    """

    def __init__(self, results: Iterable[ResultT], completed: Completed) -> None:
        self._results: list[ResultT] = sorted(results, key=lambda result: result.index)
        self.completed = completed

    @property
    def seed(self) -> int:
        """The seed of the first result: the call's, or the one that was drawn for it."""
        return self.completed.seed

    @overload
    def __getitem__(self, index: int) -> ResultT: ...
    @overload
    def __getitem__(self, index: slice) -> list[ResultT]: ...
    def __getitem__(self, index: int | slice) -> ResultT | list[ResultT]:
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)}, seed {self.seed}>"


class EmbeddingSet(ResultSet[EmbeddingResult]):
    """What `prior` and `interpolate` return; the image calls take it as it is."""

    def save(self, path: str | PathLike[str]) -> None:
        """Writes one `.safetensors` file of all pairs; see `save_embeddings`."""
        save_embeddings(path, self)


class ImageSet(ResultSet[ImageResult]):
    """What the image calls return.

    Args:
        results: The images, in any order.
        completed: The end of the stream.
        embeddings: The embeddings that `generate` made on the way, in any order.
    """

    def __init__(
        self, results: Iterable[ImageResult], completed: Completed, embeddings: Iterable[EmbeddingResult] = ()
    ) -> None:
        super().__init__(results, completed)
        self.embeddings = sorted(embeddings, key=lambda result: result.index)
