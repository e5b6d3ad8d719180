"""Eager, and its two kinds of attention."""

import pytest
import torch
from diffusers.models.attention_processor import AttnAddedKVProcessor, AttnAddedKVProcessor2_0
from kandinsky_backends.base import BackendUnavailable, Role
from kandinsky_backends.eager import EagerBackend, EagerNetwork
from kandinsky_backends.options import Attention, BackendOptions
from kandinsky_backends.parity import max_difference
from kandinsky_backends.reference import reference_network, reference_shape
from kandinsky_backends.testing import BackendContract
from kandinsky_server.testing.device import DEVICE
from torch import nn

MATH = BackendOptions(attention=Attention.MATH)


class TestEager(BackendContract):
    backend = EagerBackend
    device = DEVICE


class TestEagerWithMathAttention(BackendContract):
    backend = EagerBackend
    options = MATH
    device = DEVICE


def processors(module: nn.Module) -> set[type]:
    return {type(part.processor) for part in module.modules() if hasattr(part, "processor")}


def test_math_attention_replaces_every_processor_and_leaves_the_module_alone() -> None:
    module = reference_network(Role.UNET)
    network = EagerBackend(MATH).prepare(module, Role.UNET, [])
    assert isinstance(network, EagerNetwork)
    assert processors(network.module) == {AttnAddedKVProcessor}
    assert processors(module) == {AttnAddedKVProcessor2_0}


def test_both_trees_hold_the_same_weights() -> None:
    module = reference_network(Role.PRIOR)
    network = EagerBackend(MATH).prepare(module, Role.PRIOR, [])
    assert isinstance(network, EagerNetwork)
    originals = module.state_dict(keep_vars=True)
    assert all(
        tensor is originals[name] for name, tensor in network.module.state_dict(keep_vars=True).items()
    )


def test_a_module_that_is_moved_takes_the_other_tree_along() -> None:
    """Model offload moves the module that was loaded; buffers too, which move by being replaced."""
    module = nn.Sequential(nn.BatchNorm2d(3))
    network = EagerBackend(MATH).prepare(module, Role.UNET, [])
    assert isinstance(network, EagerNetwork)
    module.to("meta")
    assert {tensor.device.type for tensor in network.module.state_dict().values()} == {"meta"}


def test_deterministic_means_math_attention_and_the_same_bits_each_time() -> None:
    module = reference_network(Role.UNET).to(DEVICE)
    network = EagerBackend(BackendOptions(deterministic=True)).prepare(module, Role.UNET, [])
    assert isinstance(network, EagerNetwork)
    assert processors(network.module) == {AttnAddedKVProcessor}
    inputs = reference_shape(Role.UNET, 1).random_inputs(DEVICE)
    assert torch.equal(network(*inputs)[0], network(*inputs)[0])


@pytest.mark.parametrize("role", list(Role))
def test_math_attention_gives_the_same_for_every_role(role: Role) -> None:
    module = reference_network(role).to(DEVICE)
    inputs = reference_shape(role, 2).random_inputs(DEVICE)
    pairs = zip(
        EagerBackend(MATH).prepare(module, role, [])(*inputs), EagerNetwork(module)(*inputs), strict=True
    )
    assert all(max_difference(output, reference) < 1e-4 for output, reference in pairs)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_said_in_words() -> None:
    with pytest.raises(BackendUnavailable, match="cannot use the device 'cuda'"):
        EagerBackend(BackendOptions()).probe(torch.device("cuda"))
