"""What the server tells of itself: logs and traces."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from kandinsky_server.settings.types import Count


class Telling(BaseModel):
    """What the server tells of itself: logs and traces."""

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


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that it is in
        return False
