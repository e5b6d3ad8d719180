"""Prior: prompts to embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kandinsky_server.engine.work import Work
from kandinsky_server.errors import Violation
from kandinsky_server.flows.concurrency import gather
from kandinsky_server.flows.embedding import (
    EmbeddingWork,
    Prompt,
    all_works,
    begun_prior,
    removed_texts,
)
from kandinsky_server.flows.events import EmbeddingReady
from kandinsky_server.flows.receipts import receipt_of
from kandinsky_server.flows.recipe import fewer
from kandinsky_server.flows.requests import Embeddings, PriorRequest, seeded
from kandinsky_server.flows.resume import Resume, check_stage
from kandinsky_server.flows.session import Runtime, Session, embedding_bytes


class PriorRecipe:
    """An embedding for each prompt and count, but for those that were delivered; ``rpc`` is for receipts."""

    def __init__(self, runtime: Runtime, request: PriorRequest, resume: Resume, rpc: str = "Prior") -> None:
        self.request = request
        self.rpc = rpc
        self.stream_options = request.stream_options
        self.seed = request.sampling.seed
        self.count = len(request.prompts) * request.image_count
        check_stage(runtime.prior, request.stream_options, resume)
        self.parts: dict[int, EmbeddingWork] = {}
        for index in range(self.count):
            if index not in resume.embeddings:
                text = request.prompts[index // request.image_count]
                prompt = Prompt(text, request.negative_prompt, request.image)
                sampling = seeded(request.sampling, index)
                begun = begun_prior(runtime, prompt, sampling, index, resume)
                self.parts[index] = EmbeddingWork(runtime, prompt, sampling, begun)

    @property
    def works(self) -> Sequence[Work[Any]]:
        """See `Recipe`."""
        return all_works(self.parts.values())

    def ask_less(self, allowed: int) -> list[Violation]:
        """See `Recipe`."""
        request = self.request
        return fewer(request.image_count, "prompts", len(request.prompts), 1, allowed)

    async def serve(self, session: Session) -> None:
        """See `Recipe`."""
        await gather(self.post(session, index) for index in self.parts)

    async def post(self, session: Session, index: int) -> Embeddings:
        """Makes and posts result ``index``."""
        source, part = index // self.request.image_count, self.parts[index]
        prompt = part.prompt
        result = await part.result(session, index)
        receipt = receipt_of(
            session,
            self.rpc,
            session.prior,
            part.sampling,
            result.timings,
            prompt=prompt.text,
            negative_prompt=prompt.negative,
            # A picture that Generate came with is for its other half.
            input_digests={} if self.rpc == "Generate" else session.input_digests,
        )
        texts = {f"prompts[{source}]": prompt.text, "negative_prompt": prompt.negative or ""}
        truncated = await removed_texts(session, texts)
        ready = EmbeddingReady(index, source, result.embeddings, receipt, truncated, result.cached)
        session.mailbox.put(ready, await session.unread.room(embedding_bytes(ready.embeddings)))
        return result.embeddings
