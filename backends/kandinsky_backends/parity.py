"""The parity gate: a prepared network must give what eager gives, or eager is used."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kandinsky_backends.base import Backend, BackendUnavailable, BatchShape, Network, Role, WeightsChanged
from kandinsky_backends.checksum import checksums
from kandinsky_backends.device_errors import drop_frames, is_fatal, is_out_of_memory
from kandinsky_backends.eager import EagerBackend, EagerNetwork
from kandinsky_backends.precision import rounds_to_tf32

logger = logging.getLogger(__name__)

# The largest difference of one network call from eager that is put down to the order of additions. Outputs
# are of order 1 (predicted noise, embeddings, pixels in [-1, 1]); an output with larger values is first
# scaled to 1.
TOLERANCES = {
    # Ten times below the promise for a whole image (1e-3), since up to 100 calls add up. OpenVINO measures
    # 5e-6.
    torch.float32: 1e-4,
    # 10 mantissa bits: one rounding is 5e-4 at 1; a UNet's ~100 layers random-walk that to about 1e-2.
    torch.float16: 2e-2,
    # 7 mantissa bits: 8 times coarser than float16.
    torch.bfloat16: 1.6e-1,
}

# Factors have float16's 10 mantissa bits (precision.py).
TF32_TOLERANCE = TOLERANCES[torch.float16]


def tolerance(backend: Backend, dtype: torch.dtype, device: torch.device) -> float:
    """The largest difference from eager that a network of ``dtype`` may have; none for a backend that is ``exact``."""
    if getattr(backend, "exact", False):
        return 0.0
    return TF32_TOLERANCE if rounds_to_tf32(dtype, device) else TOLERANCES[dtype]


@dataclass(frozen=True)
class Parity:
    """How far a prepared network is from eager: the largest difference over all shapes, outputs and
    elements."""

    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the difference is a number within the tolerance."""
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class PreparedNetwork:
    """A network that is ready to serve, and how it came to be.

    Attributes:
        network: what to call.
        backend_name: the backend that runs it: ``eager`` after a fallback, and where a backend leaves a
            network to eager.
        parity_difference: largest difference of the backend asked for from eager; ``None`` when it was not
            measured.
        fallback: why the backend asked for does not run it; ``None`` when it does.
    """

    network: Network
    backend_name: str
    parity_difference: float | None = None
    fallback: Fallback | None = None


@dataclass(frozen=True)
class Fallback:
    """Why eager took over from ``backend_name``: ``kind`` is ``Parity`` or the type of what the backend raised."""

    backend_name: str
    kind: str
    reason: str


def prepare_with_parity(
    backend: Backend,
    network: nn.Module,
    role: Role,
    shapes: Sequence[BatchShape],
    dtype: torch.dtype,
    strict: bool,
    again: bool = False,
    weights: Mapping[str, int] | None = None,
) -> PreparedNetwork:
    """Prepares ``network`` with ``backend`` and holds it to eager on fixed inputs of ``shapes``.

    A backend that fails, or differs by more than its `tolerance`, is replaced by eager with a warning. What it
    raises is raised here when the device is lost, and when it ran out of memory and is tried ``again`` with less.
    ``weights`` are the network's `checksums` from before the backend got it; None: it has not got it yet.

    Raises:
        BackendUnavailable: in ``strict`` mode, instead of that replacement.
        WeightsChanged: in any mode when the backend changed values of the weights, so that eager cannot serve
            either. Their order in memory may change.
    """
    if type(backend) is EagerBackend:
        return PreparedNetwork(backend.prepare(network, role, shapes), backend.name)
    device = device_of(network)
    allowed = tolerance(backend, dtype, device)
    # Before prepare, so that a backend which spoils the module is found out.
    before = checksums(network) if weights is None else weights
    expected = reference_outputs(network, shapes)
    difference, fallback, cause = None, None, None
    try:
        prepared = backend.prepare(network, role, shapes)
        left_to_eager = isinstance(prepared, EagerNetwork) and prepared.module is network
        if not left_to_eager:
            parity = compare(prepared, expected, shapes, device, allowed)
            difference = parity.difference
            if not parity.passed:
                reason = f"it differs from eager by {difference:.2g}; {allowed:.2g} is allowed for {dtype}"
                fallback = Fallback(backend.name, "Parity", reason)
    except Exception as error:  # whatever a backend throws, eager can serve
        if is_fatal(error) or (again and is_out_of_memory(error)):
            raise
        kind = type(error).__name__
        cause, fallback = error, Fallback(backend.name, kind, f"{kind}: {error}")
    if cause is not None:
        drop_frames(cause)  # eager has no use for what the failed calls had on the device
    message = _message(backend, role, fallback)
    refuse_changed(network, before, message, cause)
    if fallback is None:
        return PreparedNetwork(prepared, "eager" if left_to_eager else backend.name, difference)
    if strict:
        raise BackendUnavailable(
            message, "Choose another backend, or allow the fallback to eager."
        ) from cause
    logger.warning("%s Falling back to eager.", message, exc_info=cause)
    del cause  # it and this frame would keep each other alive
    return PreparedNetwork(EagerNetwork(network), "eager", difference, fallback)


def refuse_changed(
    network: nn.Module, before: Mapping[str, int], message: str, cause: Exception | None
) -> None:
    """Raises WeightsChanged, beginning with ``message``, unless the weights' `checksums` are as they were ``before``."""
    if changed := _changed(before, checksums(network)):
        raise WeightsChanged(
            f"{message} It changed the network's weights ({changed}), so that eager cannot serve either.".strip(),
            "Choose another backend, and tell its author.",
        ) from cause


def _message(backend: Backend, role: Role, fallback: Fallback | None) -> str:
    """Why eager takes over, for people."""
    if fallback is None:
        return f"The backend '{backend.name}' cannot be used for the {role} network."
    return f"The backend '{backend.name}' cannot run the {role} network: {fallback.reason}."


def _changed(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Names of tensors whose values differ, three at most."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return ", ".join([*names[:3], *(["..."] if len(names) > 3 else [])])


def reference_outputs(network: nn.Module, shapes: Sequence[BatchShape]) -> list[tuple[Tensor, ...]]:
    """What eager gives for the fixed inputs of each shape."""
    eager, device = EagerNetwork(network), device_of(network)
    return [eager(*shape.random_inputs(device)) for shape in shapes]


def compare(
    network: Network,
    expected: Sequence[tuple[Tensor, ...]],
    shapes: Sequence[BatchShape],
    device: torch.device,
    allowed: float,
) -> Parity:
    """Calls ``network`` on the fixed inputs of each shape and compares with ``expected``.

    Raises:
        TypeError: it does not return a tuple of as many tensors of the same dtypes.
    """
    differences = [0.0]
    for shape, references in zip(shapes, expected, strict=True):
        outputs = network(*shape.random_inputs(device))
        wanted, found = _kinds(references), _kinds(outputs)
        if wanted != found:
            raise TypeError(f"it returned {found} where eager returns {wanted}")
        differences += [max_difference(*pair) for pair in zip(outputs, references, strict=True)]
    return Parity(max(differences), allowed)


def _kinds(outputs: object) -> str:
    """What a network returned, in words."""
    if not isinstance(outputs, tuple):
        return f"a {type(outputs).__name__}"
    kinds = [str(output.dtype) if isinstance(output, Tensor) else type(output).__name__ for output in outputs]
    return f"a tuple of {', '.join(kinds)}"


def max_difference(output: Tensor, reference: Tensor) -> float:
    """Largest absolute difference, in units of the reference's largest value if that is over 1."""
    if output.shape != reference.shape:
        return math.inf
    reference = reference.float()
    scale = max(1.0, float(reference.abs().max()))
    difference = float((output.float() - reference).abs().max()) / scale
    return difference if math.isfinite(difference) else math.inf


def device_of(network: nn.Module) -> torch.device:
    """The device of the network's first parameter; the CPU when it has none."""
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
