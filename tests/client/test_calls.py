"""What each call sends and gives back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from kandinsky_api.v1 import image_pb2, types_pb2
from kandinsky_client import (
    AsyncKandinsky,
    Completed,
    Embedding,
    EmbeddingPair,
    EmbeddingReady,
    ImageReady,
    Kandinsky,
    Preview,
    Progress,
    Queued,
    Receipt,
)
from PIL.PngImagePlugin import PngImageFile

from tests.client.fake_server import WIDTH, FakeServer, pixels

PAIR = EmbeddingPair(Embedding.from_array(np.ones(WIDTH)), Embedding.from_array(np.zeros(WIDTH)))


def picture(mode: str = "RGB") -> PIL.Image.Image:
    return PIL.Image.new(mode, (5, 4))


def test_prior_gives_results_in_order_that_decode_takes(client: Kandinsky, server: FakeServer) -> None:
    made = client.prior(["a cat", "a dog"], image_count=2, seed=7)
    assert [result.index for result in made] == [0, 1, 2, 3]
    assert [result.source_index for result in made] == [0, 0, 1, 1]
    assert [result.seed for result in made] == [7, 8, 9, 10]
    assert made.seed == 7
    assert made.completed.embedding_count == 4
    assert made[0].embedding.positive.array.tolist() == [1.0] * WIDTH
    assert made[0].embedding.positive.prior_fingerprint == "fake-prior"
    images = client.decode(made)
    assert len(images) == 4
    assert server.requests[-1].embeddings[2].positive == made[2].embedding.positive.to_message()


def test_unset_stays_unset_and_set_arrives(client: Kandinsky, server: FakeServer) -> None:
    client.decode(PAIR)
    bare = server.requests[-1]
    assert [field.name for field, _ in bare.sampling.ListFields()] == ["seed"], "which the client draws"
    assert not bare.output.ListFields()
    client.decode(
        PAIR, seed=0, step_count=3, guidance_scale=0.0, width_px=32, format="jpeg", quality=5, priority="low"
    )
    request = server.requests[-1]
    assert request.sampling == image_pb2.Sampling(seed=0, step_count=3, guidance_scale=0.0, width_px=32)
    assert request.output == types_pb2.OutputOptions(format=types_pb2.IMAGE_FORMAT_JPEG, quality=5)
    assert request.options.priority == types_pb2.PRIORITY_LOW


def test_misspelt_and_unknown_values_are_refused_here(client: Kandinsky, server: FakeServer) -> None:
    with pytest.raises(TypeError, match="steps"):
        client.decode(PAIR, steps=3)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="png, jpeg, webp"):
        client.decode(PAIR, format="gif")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected embeddings"):
        client.decode("cat.safetensors")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not both"):
        client.controlnet(PAIR, hint=picture(), depth_from=picture())
    assert not server.requests


def test_images_are_taken_as_pil_path_and_bytes(
    client: Kandinsky, server: FakeServer, tmp_path: Path
) -> None:
    file = tmp_path / "in.png"
    picture().save(file)
    for image in (picture(), str(file), file, file.read_bytes(), picture("CMYK"), picture("L")):
        client.img2img(PAIR, image, strength=0.5)
        request = server.requests[-1]
        assert PIL.Image.open(io.BytesIO(request.image.data)).size == (5, 4)
        assert request.strength == 0.5
    with pytest.raises(TypeError, match="expected an image"):
        client.img2img(PAIR, 3)  # type: ignore[arg-type]


def test_each_rpc_gets_its_own_fields(client: Kandinsky, server: FakeServer) -> None:
    client.inpaint(PAIR, picture(), picture("L"), paste_original=True)
    assert server.requests[-1].paste_original
    assert server.requests[-1].mask.data
    client.controlnet(PAIR, depth_from=picture())
    assert server.requests[-1].WhichOneof("hint_source") == "depth_from"
    client.prior("x", negative_prompt="", image=picture(), strength=0.1)
    assert server.requests[-1].HasField("negative_prompt")
    client.interpolate(["a cat", picture(), PAIR], [0.1, 0.2, 0.7], negative_prior_prompt="ugly")
    kinds = [condition.WhichOneof("kind") for condition in server.requests[-1].conditions]
    assert kinds == ["text", "image", "embedding"]
    path: list[list[float]] = [[1, 0], [0.5, 0.5], [0, 1]]
    frames = client.interpolate(["a cat", "a dog"], path)
    assert [list(weights.values) for weights in server.requests[-1].weights] == path
    assert len(frames) == 3


def test_generate_has_a_seed_for_each_half(client: Kandinsky, server: FakeServer) -> None:
    client.generate("a cat", seed=1, prior_seed=2, prior_step_count=3, prior_guidance_scale=0.5)
    request = server.requests[-1]
    assert request.prior_sampling == types_pb2.PriorSampling(seed=2, step_count=3, guidance_scale=0.5)
    assert request.sampling.seed == 1
    client.generate("a cat", seed=1)
    assert not server.requests[-1].prior_sampling.ListFields(), "the server then takes the images' seed"


def test_generate_gives_images_with_their_embeddings(client: Kandinsky) -> None:
    images = client.generate(["a cat", "a dog"], prior_step_count=5, image_count=2)
    assert len(images) == len(images.embeddings) == 4
    assert images[3].embedding == images.embeddings[3].embedding


@pytest.mark.parametrize("size", [64, 512], ids=["whole", "chunked"])
def test_formats_are_decoded(client: Kandinsky, size: int) -> None:
    expected = pixels(size, size + 8)
    shape: dict[str, Any] = {"width_px": size, "height_px": size + 8}
    exact = client.decode(PAIR, format="raw_rgb_f32", **shape)[0]
    assert exact.array.dtype == np.float32
    assert np.array_equal(exact.array, expected)
    rounded = (expected * 255).round().astype(np.uint8)
    for name in ("png", "raw_rgb8"):
        result = client.decode(PAIR, format=name, **shape)[0]
        assert result.image.size == (size, size + 8)
        assert np.array_equal(result.array, rounded)
        assert np.array_equal(np.asarray(result.image), rounded)
    assert np.array_equal(np.asarray(exact.image), rounded)


def test_saving_keeps_the_receipt_or_converts(client: Kandinsky, tmp_path: Path) -> None:
    result = client.decode(PAIR, embed_receipt=True)[0]
    result.save(tmp_path / "new" / "a.png")
    result.save(tmp_path / "a.webp")
    with PIL.Image.open(tmp_path / "new" / "a.png") as saved:
        assert isinstance(saved, PngImageFile)
        assert Receipt.from_json(saved.text["kandinsky"]) == result.receipt
    with PIL.Image.open(tmp_path / "a.webp") as converted:
        assert converted.format == "WEBP"


def test_a_call_can_be_followed_as_events(client: Kandinsky) -> None:
    kinds = [type(event) for event in client.stream.generate("a cat", preview_interval_steps=1)]
    assert kinds == [Queued, *[Progress] * 4, EmbeddingReady, Preview, ImageReady, Completed]
    quiet = [type(event) for event in client.stream.decode(PAIR, progress_interval_steps=0)]
    assert quiet == [Queued, ImageReady, Completed]


def test_info_estimate_and_health(client: Kandinsky, server: FakeServer) -> None:
    assert [stage.loaded for stage in client.info().stages] == [True, False]
    estimate = client.estimate.img2img(PAIR, picture(), step_count=50)
    assert (estimate.queue_wait_seconds, estimate.run_seconds, estimate.queue_length) == (0.5, 2.0, 3)
    assert server.requests[-1].WhichOneof("request") == "img2img"
    assert server.requests[-1].img2img.sampling.step_count == 50
    assert client.health() == "serving"
    assert client.health("kandinsky_api.v1.ImageService") == "not_serving"
    assert client.ready()


async def test_the_async_client_does_the_same(async_client: AsyncKandinsky, server: FakeServer) -> None:
    made = await async_client.prior("a cat", seed=1)
    images = await async_client.decode(made, image_count=2, width_px=512, height_px=512)
    assert [image.image.size for image in images] == [(512, 512)] * 2
    kinds = [type(event) async for event in async_client.stream.generate("a cat")]
    assert kinds == [Queued, *[Progress] * 4, EmbeddingReady, ImageReady, Completed]
    assert (await async_client.estimate.decode(made)).step_count == 50
    assert (await async_client.info()).device == "cpu"
    assert await async_client.health() == "serving"
    assert await async_client.ready()
