"""GetServerInfo: the server as clients need to know it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kandinsky_api.v1 import server_pb2
from kandinsky_backends.registry import BackendStatus

from kandinsky_server.checkpoints.source import public_name
from kandinsky_server.diffusion.model import Model
from kandinsky_server.families.stages import DecoderStage, PriorStage
from kandinsky_server.rpc.limits import Defaults, Limits
from kandinsky_server.rpc.respond import duration, versions

_PATH = re.compile(r"(?<![\w/.])~?(?:/[^\s/'\",:;()<>]+)+/?")


@dataclass(frozen=True)
class InfoSource:
    """Where the answer comes from; ``model`` fills up while it loads, ``backends`` takes its time when first asked."""

    model: Model
    name: str
    limits: Limits
    backends: Callable[[], Sequence[BackendStatus]]
    device: str
    dtype: str
    started: float = field(default_factory=time.monotonic)
    instance_id: str = field(default_factory=lambda: secrets.token_hex(8))

    def response(self) -> server_pb2.GetServerInfoResponse:
        """The server as it is now."""
        loaded = {stage.name: stage for stage in self.model.stages}
        limits, defaults, sampling = self.limits, Defaults(), self.model.family.defaults
        return server_pb2.GetServerInfoResponse(
            stages=[self._stage(name, loaded.get(name)) for name in self.model.family.stages],
            limits=server_pb2.Limits(
                message_bytes=limits.message_bytes,
                image_count=limits.image_count,
                step_count=limits.step_count,
                pixel_count=limits.pixel_count,
                prompt_length=limits.prompt_length,
                input_pixel_count=limits.input_pixel_count,
                prompt_count=limits.prompt_count,
                queue_size=limits.queue_size,
            ),
            defaults=server_pb2.Defaults(
                prior_step_count=sampling.prior_step_count,
                prior_guidance_scale=sampling.prior_guidance_scale,
                step_count=sampling.step_count,
                guidance_scale=sampling.guidance_scale,
                strength=sampling.strength,
                quality=defaults.quality,
                image_count=defaults.image_count,
                progress_interval_steps=defaults.progress_interval_steps,
                preview_max_px=defaults.preview_max_px,
            ),
            backends=[
                server_pb2.BackendInfo(
                    name=b.name,
                    available=b.available,
                    reason=without_paths(b.reason),
                    hint=without_paths(b.hint),
                )
                for b in self.backends()
            ],
            versions=versions(),
            device=self.device,
            depth_model=public_name(self.model.depth.source) if self.model.depth.source else "",
            uptime=duration(time.monotonic() - self.started),
            model=public_name(self.name) if self.name else "",
            status=self.model.status,
            instance_id=self.instance_id,
        )

    def _stage(self, name: str, stage: PriorStage | DecoderStage | None) -> server_pb2.StageInfo:
        if stage is None:
            return server_pb2.StageInfo(name=name)
        report = self.model.reports[name]
        prepared = report.prepared[name]
        info = server_pb2.StageInfo(
            name=name,
            loaded=True,
            fingerprint=stage.fingerprint,
            source=public_name(stage.source),
            backend=self.model.networks[name].backend,
            dtype=self.dtype,
            scheduler=stage.noise_scheduler().name,
            embedding_width=stage.embedding_width,
            parity_difference=prepared.parity_difference,
            fallback_reason=without_paths(prepared.fallback.reason) if prepared.fallback else "",
            max_batch_rows=self.model.networks[name].max_rows,
            load_time=duration(report.load_seconds),
            parameter_count=report.parameter_count,
        )
        if isinstance(stage, PriorStage):
            info.token_count = stage.token_count
        else:
            info.native_size_px = stage.native_size
            info.size_step_px = stage.size_step
        return info


def without_paths(text: str) -> str:
    """The text with the last name only of every absolute path: libraries quote the disk in their errors."""
    return _PATH.sub(lambda found: found[0].rstrip("/").rpartition("/")[2], text)
