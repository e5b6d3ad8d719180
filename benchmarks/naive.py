"""The yardstick: diffusers' pipelines on one worker thread behind gRPC, what a user writes in an hour."""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as ours; libgomp reads it when torch is imported

import grpc
import numpy as np
import PIL.Image
import torch
from diffusers import KandinskyV22Img2ImgPipeline, KandinskyV22Pipeline, KandinskyV22PriorPipeline
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from kandinsky_api.v1 import events_pb2, image_pb2, image_pb2_grpc, prior_pb2, prior_pb2_grpc
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_backends.options import DTYPES

HOST = "127.0.0.1"


class Pipelines:
    """The unmodified pipelines of one checkpoint, called with a request's own parameters."""

    def __init__(self, model: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        given = {} if dtype == torch.float32 else {"torch_dtype": dtype}
        self._place: dict[str, Any] = {"device": torch.device(device), "dtype": dtype}
        self._prior = KandinskyV22PriorPipeline.from_pretrained(model / "prior", **given).to(device)
        self._decode = KandinskyV22Pipeline.from_pretrained(model / "decoder", **given).to(device)
        self._img2img = KandinskyV22Img2ImgPipeline(**self._decode.components)
        for pipeline in (self._prior, self._decode, self._img2img):
            pipeline.set_progress_bar_config(disable=True)

    def prior(self, request: prior_pb2.PriorRequest) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings and negative embeddings, [N, D] each."""
        embeddings = self._prior(
            list(request.prompts),
            negative_prompt=request.negative_prompt if request.HasField("negative_prompt") else None,
            num_images_per_prompt=_given(request.sampling, "image_count", 1),
            num_inference_steps=_given(request.sampling, "step_count", 25),
            guidance_scale=_given(request.sampling, "guidance_scale", 4.0),
            generator=torch.Generator().manual_seed(request.sampling.seed),
        )
        return embeddings.image_embeds.float().cpu(), embeddings.negative_image_embeds.float().cpu()

    def decode(self, request: image_pb2.DecodeRequest) -> list[PIL.Image.Image]:
        """Images of embeddings."""
        images: list[PIL.Image.Image] = self._decode(**self._sampling(request)).images
        return images

    def img2img(self, request: image_pb2.Img2ImgRequest) -> list[PIL.Image.Image]:
        """An image repainted towards embeddings."""
        image = PIL.Image.open(io.BytesIO(request.image.data)).convert("RGB")
        strength = _given(request, "strength", 0.3)
        images: list[PIL.Image.Image] = self._img2img(
            image=image, strength=strength, **self._sampling(request)
        ).images
        return images

    def _sampling(self, request: image_pb2.DecodeRequest | image_pb2.Img2ImgRequest) -> dict[str, Any]:
        sampling = request.sampling
        native = self._decode.unet.config.sample_size * self._decode.movq_scale_factor
        return {
            "image_embeds": _tensor([pair.positive for pair in request.embeddings]).to(**self._place),
            "negative_image_embeds": _tensor([pair.negative for pair in request.embeddings]).to(
                **self._place
            ),
            "num_images_per_prompt": _given(sampling, "image_count", 1),
            "num_inference_steps": _given(sampling, "step_count", 100),
            "guidance_scale": _given(sampling, "guidance_scale", 4.0),
            "width": _given(sampling, "width_px", native),
            "height": _given(sampling, "height_px", native),
            "generator": torch.Generator().manual_seed(sampling.seed),
        }


class Prior(prior_pb2_grpc.PriorServiceServicer):
    def __init__(self, pipelines: Pipelines) -> None:
        self.pipelines = pipelines

    def Prior(self, request: prior_pb2.PriorRequest, context: Any) -> Iterator[prior_pb2.PriorResponse]:
        positive, negative = self.pipelines.prior(request)
        for index, (for_, against) in enumerate(zip(positive, negative, strict=True)):
            pair = pb.EmbeddingPair(positive=_embedding(for_), negative=_embedding(against))
            yield prior_pb2.PriorResponse(
                event=events_pb2.Event(embedding=events_pb2.EmbeddingResult(index=index, embeddings=pair))
            )
        yield prior_pb2.PriorResponse(
            event=events_pb2.Event(completed=events_pb2.Completed(embedding_count=len(positive)))
        )


class Images(image_pb2_grpc.ImageServiceServicer):
    def __init__(self, pipelines: Pipelines) -> None:
        self.pipelines = pipelines

    def Decode(self, request: image_pb2.DecodeRequest, context: Any) -> Iterator[image_pb2.DecodeResponse]:
        images = self.pipelines.decode(request)
        for index, image in enumerate(images):
            yield image_pb2.DecodeResponse(event=events_pb2.Event(image=_result(index, image)))
        yield image_pb2.DecodeResponse(
            event=events_pb2.Event(completed=events_pb2.Completed(image_count=len(images)))
        )

    def Img2Img(self, request: image_pb2.Img2ImgRequest, context: Any) -> Iterator[image_pb2.Img2ImgResponse]:
        images = self.pipelines.img2img(request)
        for index, image in enumerate(images):
            yield image_pb2.Img2ImgResponse(event=events_pb2.Event(image=_result(index, image)))
        yield image_pb2.Img2ImgResponse(
            event=events_pb2.Event(completed=events_pb2.Completed(image_count=len(images)))
        )


def start(model: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[grpc.Server, int]:
    """A running server on a free port, and the port."""
    pipelines = Pipelines(model, device, dtype)
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    prior_pb2_grpc.add_PriorServiceServicer_to_server(Prior(pipelines), server)  # type: ignore[abstract]
    image_pb2_grpc.add_ImageServiceServicer_to_server(Images(pipelines), server)  # type: ignore[abstract]
    checks = health.HealthServicer()
    checks.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    return server, port


def _given(message: Any, field: str, default: Any) -> Any:
    return getattr(message, field) if message.HasField(field) else default


def _tensor(embeddings: list[pb.Embedding]) -> torch.Tensor:
    rows = [np.frombuffer(embedding.data, "<f4") for embedding in embeddings]
    return torch.from_numpy(np.stack(rows))


def _embedding(row: torch.Tensor) -> pb.Embedding:
    return pb.Embedding(data=row.numpy().tobytes(), dtype=pb.DTYPE_F32, shape=row.shape)


def _result(index: int, image: PIL.Image.Image) -> events_pb2.ImageResult:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return events_pb2.ImageResult(
        index=index,
        format=pb.IMAGE_FORMAT_PNG,
        width_px=image.width,
        height_px=image.height,
        size_bytes=buffer.tell(),
        data=buffer.getvalue(),
    )


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.naive", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="directory of stage folders")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32", help="of the networks (default fp32)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    server, port = start(arguments.model, arguments.device, DTYPES[arguments.dtype])
    print(f"listening on {HOST}:{port}", flush=True)
    print(f"serving on {HOST}:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
