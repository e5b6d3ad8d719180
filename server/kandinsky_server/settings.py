"""Every setting of the server, defined once: flag > environment KANDINSKY_* > TOML file > default."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Literal, NoReturn, Self

from pydantic import Field, PositiveInt, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    CliApp,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

PortNumber = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """The settings of `kandinsky serve`, frozen."""

    model_config = SettingsConfigDict(
        env_prefix="KANDINSKY_",
        frozen=True,
        extra="forbid",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_prog_name="kandinsky serve",
        cli_hide_none_type=True,
        protected_namespaces=(),
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: PortNumber = Field(50051, description="gRPC port; 0 takes a free one.")
    metrics_port: PortNumber | None = Field(
        9464, description="Port of Prometheus' /metrics; 0 takes a free one, 'null' serves none."
    )

    model: str | None = Field(
        None, description="A preset (kandinsky-2.2), a directory of stage folders, or 'embedded' (default)."
    )
    prior: str | None = Field(None, description="Directory or hub id of the prior.")
    decoder: str | None = Field(None, description="Directory or hub id of the decoder.")
    inpaint: str | None = Field(None, description="Directory or hub id of the inpaint decoder.")
    controlnet: str | None = Field(None, description="Directory or hub id of the ControlNet decoder.")
    depth_model: str | None = Field(None, description="Directory or hub id of a depth-estimation model.")
    cache_dir: Path = Field(Path("~/.cache/kandinsky-grpc"), description="Where built checkpoints are kept.")
    backend_cache_dir: Path | None = Field(
        None, description="Where backends keep compiled networks for the next start; default: nowhere."
    )

    device: str = Field("auto", description="torch device; auto is cuda when there is one, else cpu.")
    dtype: Literal["fp32", "fp16", "bf16"] = Field("fp32", description="Number type of the networks.")
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
    attention: Literal["sdpa", "math"] = Field("sdpa", description="Attention of the eager backend.")
    threads: PositiveInt | None = Field(
        None, description="CPU threads of the networks; default the usable cores."
    )

    max_batch_rows: PositiveInt | None = Field(
        None, description="Rows of one network call; default measured."
    )
    max_batch_pixels: PositiveInt | None = Field(None, description="Latent pixels of one network call.")
    queue_size: PositiveInt = Field(256, description="Trajectories that may wait or run, over all clients.")
    prior_cache_size: int = Field(1024, ge=0, description="Embeddings kept for equal prior requests.")
    drain_seconds: float = Field(
        30.0, ge=0, description="How long running work may take to finish on SIGTERM."
    )

    max_message_bytes: PositiveInt = Field(32 * 1024 * 1024, description="Bytes of one request message.")
    max_images: PositiveInt = Field(16, description="Results of one request.")
    max_steps: PositiveInt = Field(1000, description="Denoising steps of one request.")
    max_pixels: PositiveInt = Field(2048 * 2048, description="Pixels of one output image.")
    max_input_pixels: PositiveInt = Field(4096 * 4096, description="Pixels of one input image.")
    max_prompts: PositiveInt = Field(16, description="Prompts, conditions or embedding pairs of one request.")
    max_prompt_length: PositiveInt = Field(2000, description="Characters of one prompt.")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto is console on a terminal."
    )
    log_prompts: bool = Field(False, description="Log prompt texts too.")
    config: Path | None = Field(None, description="TOML file with any of these settings.")

    @model_validator(mode="after")
    def _offload_can_work(self) -> Self:
        if self.offload == "model":
            if self.device == "cpu":
                raise ValueError(
                    "offload=model moves weights off an accelerator; it does nothing on device=cpu"
                )
            if self.backend not in ("eager", "xformers"):
                raise ValueError(
                    "offload=model needs backend=eager or xformers: compiled networks do not move"
                )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags come before all of these; the file that ``toml_file`` names comes last."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(arguments: Sequence[str]) -> Settings:
    """The settings that command-line ``arguments``, the environment and the config file make together.

    Prints help for ``--help``. Exits with code 2, naming every bad setting at once.
    """
    file = _config_file(arguments)
    if file is not None and not file.is_file():
        _refuse([f"config: there is no file {str(file)!r}"])

    class FileSettings(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return CliApp.run(FileSettings, cli_args=list(arguments))
    except ValidationError as error:
        _refuse([f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()])
    except (SettingsError, TOMLDecodeError) as error:
        _refuse([str(error)])


def _config_file(arguments: Sequence[str]) -> Path | None:
    """Known before the rest, since the file is one of the sources."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", default=os.environ.get("KANDINSKY_CONFIG"))
    known, _ = parser.parse_known_args(list(arguments))
    return Path(known.config) if known.config else None


def _refuse(problems: list[str]) -> NoReturn:
    for problem in problems:
        print(f"kandinsky serve: {problem}", file=sys.stderr)
    sys.exit(2)
