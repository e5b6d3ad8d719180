"""What leaves MoVQ becomes pixels off the device, by the same numbers as on it."""

import numpy as np
import pytest
import torch
from kandinsky_server.diffusion.pixels import unit_pixels
from kandinsky_server.diffusion.single import movq_decode
from kandinsky_server.errors import NonFinite

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def decoded(dtype: torch.dtype) -> torch.Tensor:
    """A batch of two, as MoVQ makes it, and numbers at the edges."""
    made = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 1.5
    made[1, 0, 0, :6] = torch.tensor([-1.0, 1.0, -0.0, 0.0, float("inf"), -float("inf")])
    return made.to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_are_what_torch_makes_of_them(dtype: torch.dtype) -> None:
    batch = decoded(dtype)
    trajectory = movq_decode(torch.zeros(1, 4, 2, 3), torch.device("cpu"))
    trajectory.start()
    trajectory.advance((batch[1:],))
    left = trajectory.result()
    assert left.base is None or left.base.nbytes == left.nbytes, "a row alone, not its batch"
    expected = (batch[1].float() * 0.5 + 0.5).clamp(0, 1).permute(1, 2, 0)
    assert torch.equal(torch.from_numpy(unit_pixels(left)), expected)


def test_they_leave_in_the_dtype_that_they_have() -> None:
    trajectory = movq_decode(torch.zeros(1, 4, 2, 3), torch.device("cpu"))
    trajectory.advance((decoded(torch.float16)[:1],))
    assert trajectory.result().dtype == np.float16


def test_nan_is_no_pixel() -> None:
    values = np.zeros((3, 4, 4), dtype=np.float16)
    values[1, 2, 3] = np.nan
    with pytest.raises(NonFinite):
        unit_pixels(values)
