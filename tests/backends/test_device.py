"""Which device a name means."""

import pytest
import torch
from kandinsky_backends.device import pick_device


@pytest.mark.parametrize(
    ("name", "device"), [("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cuda:0", "cuda:0"), ("cpu", "cpu")]
)
def test_a_cuda_device_has_its_number(name: str, device: str) -> None:
    assert str(pick_device(name)) == device


def test_auto_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert str(pick_device("auto")) == "cuda:0"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert str(pick_device("auto")) == "cpu"
