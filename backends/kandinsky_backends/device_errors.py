"""What a failed call says of the device: that it has no room, or that nothing will run on it any more.

Libraries raise RuntimeError, or types of their own, with CUDA's, cuBLAS' or cuDNN's words in the message; torch has
types for some of them. Errors that were raised because of another one are looked at with that one.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator

import torch

NO_MEMORY_CODE = 2
"""cudaErrorMemoryAllocation (CUDA Runtime API, "Data types used by CUDA Runtime", enum cudaError)."""

NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|std::bad_alloc|cudaErrorMemoryAllocation"
    r"|_STATUS_ALLOC_FAILED|(HOST|DEVICE)_ALLOCATION_FAILED"
)
"""Of CUDA, Triton and torch's allocators; of cuBLAS, cuSOLVER, cuSPARSE and cuDNN (its status codes 4003 and 4004)."""

FATAL_CODES = frozenset({214, 220, 226, 700, 702, 709, 710, *range(714, 720), 721, 911, 999})
"""Of the same enum: what leaves the process "in an inconsistent state", so that it "must be terminated and relaunched",
errors of ECC, NVLink and device-side asserts, a destroyed context, and cudaErrorUnknown."""

FATAL = re.compile(
    # cudaGetErrorString's words. torch tells after every CUDA error how to enable "device-side assertions".
    r"uncorrectable (ECC|NVLink) error|an illegal memory access was encountered|the launch timed out and was terminated"
    r"|context is destroyed|device-side assert triggered|hardware stack error|an illegal instruction was encountered"
    r"|misaligned address|operation not supported on global/shared address space|invalid program counter"
    r"|unspecified launch failure|CUDA error: unknown error"
    r"|cudaError(ECCUncorrectable|NvlinkUncorrectable|Contained|IllegalAddress|LaunchTimeout|ContextIsDestroyed|Assert"
    r"|HardwareStackError|IllegalInstruction|MisalignedAddress|InvalidAddressSpace|InvalidPc|LaunchFailure|Unknown)\b"
)
"""cuBLAS and cuDNN say EXECUTION_FAILED then, but also otherwise: the next call of CUDA itself will tell."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the host's allocator, had no room."""
    return any(_has_no_memory(each) for each in _chain(error))


def is_fatal(error: BaseException) -> bool:
    """Whether the device can do nothing more for this process: every later call would fail too, or be wrong."""
    return any(_is_fatal(each) for each in _chain(error))


def drop_frames(error: BaseException) -> None:
    """Empties the frames of the calls that failed, which keep their tensors alive; where they were can still be told.

    A frame that still runs is left as it is: leave the handler first.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            waiting += (each.__cause__, each.__context__)


def _has_no_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or _code(error) == NO_MEMORY_CODE:
        return True
    return isinstance(error, RuntimeError) and bool(NO_MEMORY.search(str(error)))


def _is_fatal(error: BaseException) -> bool:
    if _code(error) in FATAL_CODES:
        return True
    return isinstance(error, RuntimeError) and bool(FATAL.search(str(error)))


def _code(error: BaseException) -> int | None:
    """The number of CUDA's error, which torch gives to those it raises itself."""
    return getattr(error, "error_code", None) if isinstance(error, torch.AcceleratorError) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that led to it, as Python would print them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
