"""Out of memory and lost devices are told by what libraries raise, at whatever depth."""

import weakref

import pytest
import torch
from kandinsky_backends.device_errors import drop_frames, is_fatal, is_out_of_memory

ADVICE = """
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""
"""What torch adds to every error of CUDA's."""


def numbered(code: int) -> torch.AcceleratorError:
    """As torch raises it: the number is an attribute."""
    error = torch.AcceleratorError("CUDA error")
    error.error_code = code  # type: ignore[attr-defined]  # torch's types leave it out
    return error


NO_MEMORY = [
    torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ..."
    ),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory: ..."),
    RuntimeError("std::bad_alloc"),
    torch.AcceleratorError("CUDA error: out of memory" + ADVICE),
    numbered(2),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
]
FATAL = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered" + ADVICE),
    torch.AcceleratorError("CUDA error: device-side assert triggered" + ADVICE),
    torch.AcceleratorError("CUDA error: unspecified launch failure" + ADVICE),
    torch.AcceleratorError("CUDA error: misaligned address" + ADVICE),
    torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered" + ADVICE),
    torch.AcceleratorError("CUDA error: unknown error" + ADVICE),
    RuntimeError("CUDA failure: cudaErrorLaunchFailure (719)"),
    RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
    numbered(700),
    numbered(721),
]
OTHERS = [
    ValueError("CUDA error: out of memory"),
    ValueError("a prompt about a misaligned address"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    torch.AcceleratorError("CUDA error: invalid argument" + ADVICE),
    torch.AcceleratorError("CUDA error: operation not permitted when stream is capturing" + ADVICE),
    numbered(1),
]


def told(error: Exception) -> tuple[bool, bool]:
    return is_out_of_memory(error), is_fatal(error)


@pytest.mark.parametrize("error", NO_MEMORY, ids=str)
def test_no_room_is_out_of_memory(error: Exception) -> None:
    assert told(error) == (True, False)


@pytest.mark.parametrize("error", FATAL, ids=str)
def test_what_ends_the_context_is_fatal(error: Exception) -> None:
    assert told(error) == (False, True)


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_are_neither(error: Exception) -> None:
    assert told(error) == (False, False)


def wrapped(inner: Exception, *, how: str) -> Exception:
    try:
        try:
            raise inner
        except Exception as error:
            if how == "from":
                raise LookupError("recording failed") from error
            if how == "from None":
                raise LookupError("something else") from None
            raise LookupError("recording failed")  # noqa: B904 - as a library may
    except LookupError as error:
        return error


@pytest.mark.parametrize(("how", "known"), [("from", True), ("while handling", True), ("from None", False)])
def test_what_led_to_an_error_counts(how: str, known: bool) -> None:
    assert is_out_of_memory(wrapped(torch.OutOfMemoryError("no room"), how=how)) == known
    assert is_fatal(wrapped(RuntimeError("misaligned address"), how=how)) == known


def test_an_error_that_leads_to_itself_is_told_too() -> None:
    error, other = RuntimeError("one"), RuntimeError("other")
    error.__cause__, other.__cause__ = other, error
    assert told(error) == (False, False)
    drop_frames(error)


@pytest.mark.parametrize("how", ["from", "while handling", "from None"])
def test_dropped_frames_let_go_of_their_tensors(how: str) -> None:
    def fail() -> None:
        activation = torch.zeros(8)
        alive.append(weakref.ref(activation))
        raise torch.OutOfMemoryError("no room")

    alive: list[weakref.ref[torch.Tensor]] = []
    try:
        fail()
    except torch.OutOfMemoryError as error:
        kept = wrapped(error, how=how)
    assert alive[0]() is not None
    drop_frames(kept)
    assert alive[0]() is None
    assert kept.__traceback__
