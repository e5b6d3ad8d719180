"""The xFormers wiring, with a reference in the place of its CUDA kernels."""

import sys
from functools import partial

import pytest
import torch
from kandinsky_backends import xformers
from kandinsky_backends.base import BackendUnavailable, Role
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.reference import reference_network, reference_shape
from kandinsky_backends.testing import BackendContract
from kandinsky_backends.xformers import XformersBackend, XformersProcessor
from kandinsky_server.testing.device import DEVICE
from torch import Tensor

CPU = torch.device("cpu")


def reference_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """What xFormers documents for (batch * heads, tokens, width): softmax(scale q kᵀ) v."""
    return torch.softmax(scale * query @ key.transpose(1, 2), dim=-1) @ value


class TestXformersWithReferenceAttention(BackendContract):
    device = DEVICE
    backend = partial(XformersBackend, attention=reference_attention)

    @pytest.mark.skip("its probe asks for CUDA")
    def test_is_a_backend_that_can_be_used_here(self) -> None: ...


def test_every_attention_of_the_unet_goes_through_the_one_function() -> None:
    calls: list[tuple[torch.Size, torch.Size, float]] = []

    def record(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        calls.append((query.shape, key.shape, scale))
        return reference_attention(query, key, value, scale)

    module = reference_network(Role.UNET)
    network = XformersBackend(BackendOptions(), record).prepare(module, Role.UNET, [])
    network(*reference_shape(Role.UNET, 3).random_inputs(CPU))
    attentions = [part for part in module.modules() if hasattr(part, "processor")]
    assert len(calls) == len(attentions) > 0
    for query, key, scale in calls:
        assert query[2] == key[2] == 32, "one head's width comes last"
        assert query[0] == key[0], "rows times heads come first"
        assert query[0] % 3 == 0, "rows times heads come first"
        assert key[1] > query[1], "the image embedding's tokens are added to the keys"
        assert scale == pytest.approx(32**-0.5)


def test_the_module_itself_and_other_networks_keep_pytorchs_attention() -> None:
    module, prior = reference_network(Role.UNET), reference_network(Role.PRIOR)
    backend = XformersBackend(BackendOptions(), reference_attention)
    backend.prepare(module, Role.UNET, [])
    assert not any(
        isinstance(getattr(part, "processor", None), XformersProcessor) for part in module.modules()
    )
    prepared = backend.prepare(prior, Role.PRIOR, [])
    assert isinstance(prepared, EagerNetwork)
    assert prepared.module is prior


def test_on_the_cpu_the_probe_says_that_cuda_is_missing() -> None:
    with pytest.raises(BackendUnavailable, match=r"CUDA only.*--backend auto"):
        XformersBackend(BackendOptions()).probe(CPU)


def test_without_the_package_the_probe_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "xformers", None)
    monkeypatch.setattr(xformers, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match=r"not installed.*pip install"):
        XformersBackend(BackendOptions()).probe(torch.device("cuda"))
