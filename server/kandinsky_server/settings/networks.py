"""On what, in which numbers and by which backend networks run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from kandinsky_server.families.sizes import parse_size
from kandinsky_server.settings.types import MAX_THREADS, Count


class Networks(BaseModel):
    """On what, in which numbers and by which backend networks run."""

    backend_cache_dir: Path | None = Field(
        Path("~/.cache/kandinsky-server/backends"),
        validate_default=True,
        description="Where backends keep compiled networks for the next start; 'null': nowhere.",
    )
    device: str = Field("auto", description="torch device; auto is cuda when there is one, else cpu.")
    dtype: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        "auto",
        description="Number type of the networks; auto is fp16 on CUDA, fp32 on a CPU.",
    )
    backend: str = Field("auto", description="Backend of the networks; `kandinsky backends list` shows them.")
    strict_backend: bool = Field(False, description="Refuse to start rather than fall back to eager.")
    offload: Literal["none", "model"] = Field(
        "none",
        description="model: only the network being called is on the device, the others in main memory.",
    )
    deterministic: bool = Field(
        False,
        description="Same bits for the same request whoever else is served: eager, math attention, no sharing.",
    )
    tf32: bool = Field(
        False,
        description="Let CUDA round factors of float32 products to TF32: networks may then differ by 2e-2, not 1e-4.",
    )
    attention: Literal["sdpa", "math"] = Field("sdpa", description="Attention of the eager backend.")
    threads: Count | None = Field(
        None, le=MAX_THREADS, description="CPU threads of the networks; default the usable cores."
    )
    buckets: Annotated[tuple[Count, ...] | None, NoDecode] = Field(
        None,
        description="Row counts that compiled networks are padded to; default any number of rows.",
    )
    sizes: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="Heights x widths of pictures that networks are prepared for, such as 512x512,768x768; default the "
        "native size. Others are served too, more slowly by compiled networks.",
    )
    max_batch_rows: Count | None = Field(None, description="Rows of one network call; default measured.")
    max_batch_pixels: Count | None = Field(None, description="Latent pixels of one network call.")

    @field_validator("buckets", "sizes", mode="before")
    @classmethod
    def _commas_make_a_list(cls, values: Any) -> Any:
        if isinstance(values, str) and values != "null":
            return values.strip("[] ").split(",")
        return values

    @field_validator("buckets")
    @classmethod
    def _buckets_ascend(cls, buckets: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if buckets is not None and (not buckets or list(buckets) != sorted(set(buckets))):
            raise ValueError("must be ascending row counts, such as 1,2,4,8")
        return buckets

    @field_validator("sizes")
    @classmethod
    def _sizes_are_sizes(cls, sizes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if sizes is None else tuple(str(parse_size(size)) for size in sizes)

    @field_validator("deterministic")
    @classmethod
    def _deterministic_can_hold(cls, deterministic: bool, info: ValidationInfo) -> bool:
        if deterministic and info.data.get("backend") not in ("auto", "eager"):
            raise ValueError("is the eager backend's promise; leave backend at auto or eager")
        return deterministic

    @field_validator("tf32")
    @classmethod
    def _tf32_can_round(cls, tf32: bool, info: ValidationInfo) -> bool:
        if tf32 and info.data.get("dtype", "fp32") != "fp32":
            raise ValueError("rounds products of float32 numbers: give dtype=fp32 too")
        if tf32 and info.data.get("deterministic"):
            raise ValueError("is not deterministic's arithmetic: give one of them")
        return tf32

    @field_validator("offload")
    @classmethod
    def _offload_can_work(cls, offload: str, info: ValidationInfo) -> str:
        if offload == "model":
            if info.data.get("device") == "cpu":
                raise ValueError(
                    "offload=model moves weights off an accelerator; it does nothing on device=cpu"
                )
            if info.data.get("backend") not in ("eager", "xformers"):
                raise ValueError(
                    "offload=model needs backend=eager or xformers: compiled networks and CUDA graphs do not move"
                )
        return offload
