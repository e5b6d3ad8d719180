"""Every setting of the server, defined once: flag > environment KANDINSKY_* > TOML file > default."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, NoReturn, get_args

from pydantic import Field, FilePath, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    CliApp,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from kandinsky_server.families.kandinsky22.sizes import parse_size
from kandinsky_server.security.certificates import Certificates, check_authorities
from kandinsky_server.security.files import read_small
from kandinsky_server.security.tokens import TokenFile
from kandinsky_server.settings import addresses
from kandinsky_server.settings.sources import PREFIX, ConfigFile, Environment, Origins, holds_path

PortNumber = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""gRPC, protobuf and torch take no greater numbers."""

Amount = Annotated[int, Field(ge=1, le=2**53)]
"""Bytes that only this server counts."""

MAX_SECONDS = 86400
MAX_THREADS = 1024
MAX_TEXT = 240_000
"""Characters of all texts of one request: each has up to 4 bytes, and a result's message, of 2 MiB, has them twice."""


class Settings(BaseSettings):
    """The settings of `kandinsky serve`, frozen.

    A rule about several settings is the validator of the last of them, so that all that is wrong is told at once.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_prog_name="kandinsky serve",
        cli_hide_none_type=True,
        cli_exit_on_error=False,
        protected_namespaces=(),
    )

    tls_certificate: FilePath | None = Field(
        None,
        description="PEM file of this server's certificate chain: speak TLS. Read again when it changes.",
    )
    tls_key: FilePath | None = Field(
        None, validate_default=True, description="PEM file of its private key, without password."
    )
    tls_client_ca: FilePath | None = Field(
        None, description="PEM file of authorities: only clients with a certificate of theirs get in (mTLS)."
    )
    tokens_file: FilePath | None = Field(
        None,
        description="TOML file of clients and their tokens: nobody else may call. Read again when it changes.",
    )
    insecure: bool = Field(
        False, description="Listen beyond this machine without TLS: a proxy or mesh has it."
    )
    host: str = Field(
        "127.0.0.1", description="Address to listen on; or a Unix socket, unix:PATH, which has no port."
    )
    port: PortNumber = Field(50051, description="gRPC port; 0 takes a free one.")
    metrics_port: PortNumber | None = Field(
        9464, description="Port of Prometheus' /metrics; 0 takes a free one, 'null' serves none."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address of /metrics, which has no TLS and no tokens, whatever the rest has."
    )
    metrics_connections: Count = Field(
        32, le=64, description="Connections at once to /metrics; one more cuts off the oldest."
    )
    metrics_seconds: float = Field(
        10.0,
        gt=0,
        le=MAX_SECONDS,
        description="How long a request for /metrics may take, its answer included.",
    )

    model: str | None = Field(
        None, description="A preset (kandinsky-2.2), a directory of stage folders, or 'toy' (default)."
    )
    prior: str | None = Field(None, description="Directory or hub id of the prior.")
    decoder: str | None = Field(None, description="Directory or hub id of the decoder.")
    inpaint: str | None = Field(None, description="Directory or hub id of the inpaint decoder.")
    controlnet: str | None = Field(None, description="Directory or hub id of the ControlNet decoder.")
    depth_model: str | None = Field(None, description="Directory or hub id of a depth-estimation model.")
    backend_cache_dir: Path | None = Field(
        Path("~/.cache/kandinsky-server/backends"),
        validate_default=True,
        description="Where backends keep compiled networks for the next start; 'null': nowhere.",
    )

    device: str = Field("auto", description="torch device; auto is cuda when there is one, else cpu.")
    dtype: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        "auto",
        description="Number type of the networks; auto is fp16 on CUDA, fp32 on a CPU and with offload.",
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
        description="Row counts that compiled networks are padded to; default any on a CPU, 1,2,4,8,16 on CUDA.",
    )
    sizes: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="Heights x widths of pictures that networks are prepared for, such as 512x512,768x768; default the "
        "native size. Others are served too, more slowly by compiled networks.",
    )
    max_batch_rows: Count | None = Field(None, description="Rows of one network call; default measured.")
    max_batch_pixels: Count | None = Field(None, description="Latent pixels of one network call.")
    queue_size: Count = Field(256, description="Trajectories that may wait or run, over all clients.")
    prior_cache_size: int = Field(
        1024, ge=0, le=2**31 - 1, description="Embeddings kept for equal prior requests."
    )
    default_share: float = Field(
        0.75,
        gt=0,
        le=1,
        description="What a client without a share of its own may hold of the queue that others leave: "
        "one of several tokens, or without tokens a connection.",
    )
    step_timeout_seconds: float | None = Field(
        None,
        ge=1,
        le=MAX_SECONDS,
        description="A step that takes longer hangs: the server says so and ends; default the larger of 60 and 20 "
        "times the forecast.",
    )
    load_timeout_seconds: float = Field(
        3600.0,
        ge=1,
        le=MAX_SECONDS,
        description="How long loading a stage, and then preparing each of its networks, may take at the start.",
    )
    drain_seconds: float = Field(
        30.0, ge=0, le=MAX_SECONDS, description="How long running work may take to finish on SIGTERM."
    )

    max_message_bytes: Count = Field(32 * 1024 * 1024, description="Bytes of one request message.")
    max_receiving_bytes: Amount = Field(
        512 * 1024 * 1024,
        validate_default=True,
        description="Bytes of messages on their way in; each counts as max_message_bytes until it is there.",
    )
    receive_seconds: float = Field(
        30.0, gt=0, le=MAX_SECONDS, description="How long a message may take to arrive once it is being read."
    )
    max_images: Count = Field(16, description="Results of one request.")
    max_steps: Count = Field(1000, description="Denoising steps of one request.")
    max_pixels: Count = Field(2048 * 2048, description="Pixels of one output image.")
    max_input_pixels: Count = Field(4096 * 4096, description="Pixels of one input image.")
    max_decoded_bytes: Amount = Field(
        1024**3, description="Bytes of decoded input images, over all requests that wait or run."
    )
    decode_seconds: float = Field(
        10.0,
        gt=0,
        le=MAX_SECONDS,
        description="How long one input image may take to decode; its process is killed then.",
    )
    max_prompts: Count = Field(16, description="Prompts, conditions or embedding pairs of one request.")
    max_prompt_length: Count = Field(2000, description="Characters of one prompt.")
    max_streams: Count = Field(
        512,
        description="Calls at once of one connection; more than queue_size, so that a full queue is told.",
    )
    max_connections: Count = Field(
        512, description="Connections at once, half-open ones too; each is an open file."
    )
    handshake_seconds: float = Field(
        10.0,
        gt=0,
        le=MAX_SECONDS,
        description="How long a new connection may take until it speaks HTTP/2, TLS included.",
    )
    idle_seconds: float = Field(
        300.0,
        gt=0,
        le=MAX_SECONDS,
        description="How long a connection without calls is kept; clients open another unseen.",
    )
    write_timeout_seconds: float = Field(
        120.0,
        gt=0,
        le=MAX_SECONDS,
        description="How long a client may take to read one message, of 1 MiB at most.",
    )
    max_request_seconds: float = Field(
        14400.0,
        gt=0,
        le=7 * MAX_SECONDS,
        description="Longest life of a request, from its arrival to its last message.",
    )
    max_unread_bytes: Amount = Field(
        1024 * 1024 * 1024, description="Bytes of results that clients have not read yet, over all requests."
    )
    max_request_unread_bytes: Amount = Field(
        128 * 1024 * 1024,
        description="The same of one request; with more than that its images are not worked on.",
    )
    reflection: bool = Field(True, description="Let clients list the services and their messages.")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto is console on a terminal."
    )
    log_prompts: bool = Field(False, description="Log prompt texts too.")
    log_buffer_bytes: Count = Field(
        1024 * 1024,
        description="Output that may wait for a slow reader; lines beyond are dropped and counted.",
    )
    otlp_endpoint: str | None = Field(
        None,
        description="OTLP/gRPC URL that traces are sent to, such as http://127.0.0.1:4317; default: none.",
    )
    config: Path | None = Field(None, description="TOML file with any of these settings.")
    check: bool = Field(
        False, description="Check settings, files, device and backend, say what was found, and exit: 0 or 2."
    )

    @property
    def certificates(self) -> Certificates | None:
        """The TLS files; None is an unencrypted port."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return Certificates(self.tls_certificate, self.tls_key, self.tls_client_ca)

    @field_validator("*", mode="before")
    @classmethod
    def _spelt_alike_everywhere(cls, value: Any, info: ValidationInfo) -> Any:
        """``null`` is None, and ``~`` a home directory, in flags, variables and files alike."""
        field = cls.model_fields[str(info.field_name)]
        if value == "null" and NoneType in get_args(field.annotation):
            return None
        if not holds_path(field.annotation) or not str(value).startswith("~"):
            return value
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            if value == field.default:
                return None  # what is kept at home is not kept; the preflight says so
            raise ValueError("this user has no home directory: give a path without ~") from error

    @field_validator("max_prompt_length")
    @classmethod
    def _receipts_fit_a_message(cls, length: int, info: ValidationInfo) -> int:
        """A result of Interpolate repeats all its texts, and what was cut off them, in a message of 2 MiB at most."""
        texts = info.data.get("max_prompts", 0) + 2
        if texts * length > MAX_TEXT:
            raise ValueError(
                f"with max_prompts {texts - 2} it may be at most {MAX_TEXT // texts}: a receipt repeats every text"
            )
        return length

    @field_validator("tls_key")
    @classmethod
    def _key_fits(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("tls_certificate", key)
        if (certificate is None) != (key is None):
            raise ValueError("tls_certificate and tls_key need each other")
        if "tls_certificate" in info.data and certificate and key:
            Certificates(certificate, key).check()
        return key

    @field_validator("tls_client_ca")
    @classmethod
    def _client_ca_holds_certificates(cls, client_ca: Path | None, info: ValidationInfo) -> Path | None:
        if client_ca and info.data.get("tls_certificate", client_ca) is None:
            raise ValueError("client certificates need TLS: give tls_certificate and tls_key too")
        if client_ca:
            check_authorities(client_ca)
        return client_ca

    @field_validator("tokens_file")
    @classmethod
    def _tokens_parse(cls, tokens_file: Path | None) -> Path | None:
        if tokens_file:
            TokenFile(tokens_file)
        return tokens_file

    @field_validator("host", "metrics_host")
    @classmethod
    def _host_can_be_opened(cls, host: str, info: ValidationInfo) -> str:
        if info.field_name == "metrics_host" and addresses.is_unix(host):
            raise ValueError("metrics are served over TCP: give an address of this machine")
        return addresses.checked_host(host)

    @field_validator("metrics_host")
    @classmethod
    def _metrics_have_a_port_of_their_own(cls, metrics_host: str, info: ValidationInfo) -> str:
        host, port, metrics_port = (info.data.get(name) for name in ("host", "port", "metrics_port"))
        if host and port and port == metrics_port and addresses.overlap(host, metrics_host):
            raise ValueError(f"port and metrics_port are both {port}: give one of them another")
        return metrics_host

    @field_validator("host")
    @classmethod
    def _host_is_encrypted(cls, host: str, info: ValidationInfo) -> str:
        encrypted = info.data.get("tls_certificate", host) is not None
        if encrypted or info.data.get("insecure", True) or addresses.is_local(host):
            return host
        secrets = "prompts, images and tokens" if info.data.get("tokens_file") else "prompts and images"
        raise ValueError(
            f"on {host!r} everyone on the way could read {secrets}: give tls_certificate and tls_key, or say "
            "insecure when something else encrypts"
        )

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

    @field_validator("max_pixels")
    @classmethod
    def _sizes_are_allowed(cls, most: int, info: ValidationInfo) -> int:
        for size in map(parse_size, info.data.get("sizes") or ()):
            if size.height * size.width > most:
                raise ValueError(f"sizes has {size}, which is more than max_pixels, {most}")
        return most

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

    @field_validator("max_receiving_bytes")
    @classmethod
    def _some_messages_fit(cls, receiving: int, info: ValidationInfo) -> int:
        least = 2 * info.data.get("max_message_bytes", 0)
        if receiving < least:
            raise ValueError(f"must have room for two messages of max_message_bytes, so be at least {least}")
        return receiving

    @field_validator("otlp_endpoint")
    @classmethod
    def _traces_can_be_sent(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        if not endpoint.startswith(("http://", "https://")):
            raise ValueError("must be a URL such as http://127.0.0.1:4317; https means TLS")
        if not all(map(_is_installed, ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc"))):
            raise ValueError("traces need OpenTelemetry: pip install 'kandinsky-server[otel]'")
        return endpoint

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
        return init_settings, Environment(settings_cls), ConfigFile(settings_cls)


def load_settings(arguments: Sequence[str]) -> Settings:
    """The settings that command-line ``arguments``, the environment and the config file make together.

    Prints help for ``--help``. Exits with code 2, naming every bad setting at once.
    """
    file = _config_file(arguments)
    if file is not None:
        try:
            read_small(file)
        except ValueError as error:
            refuse([f"config: {error}"])

    class FileSettings(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    for name, field in FileSettings.model_fields.items():
        field.description = f"{field.description} [{PREFIX}{name.upper()}]"
    # pydantic reads variables in any case.
    environment = {name.upper(): value for name, value in os.environ.items()}
    origins = Origins(FileSettings, arguments, environment, file)
    problems = [] if {"--help", "-h"} & set(arguments) else origins.strange_variables()
    try:
        settings = CliApp.run(FileSettings, cli_args=list(arguments))
    except ValidationError as error:
        refuse([*map(origins.sentence, error.errors()), *problems])
    except SettingsError as error:
        refuse([origins.of_command_line(error), *problems])
    except (OSError, ValueError) as error:  # TOML's own, or of text that is not UTF-8
        refuse([f"config: {str(file)!r} cannot be read: {error}", *problems])
    if problems:
        refuse(problems)
    return settings


def _config_file(arguments: Sequence[str]) -> Path | None:
    """Known before the rest, since the file is one of the sources."""
    parser = argparse.ArgumentParser(
        "kandinsky serve", usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False
    )
    parser.add_argument("--config", default=os.environ.get("KANDINSKY_CONFIG"))
    known, _ = parser.parse_known_args(list(arguments))
    return Path(known.config) if known.config else None


def refuse(problems: Sequence[str]) -> NoReturn:
    """Says what is wrong with the settings and exits with code 2."""
    for problem in problems:
        print(f"kandinsky serve: {problem}", file=sys.stderr)
    sys.exit(2)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that it is in
        return False
