"""The parity gate: what differs from eager does not serve."""

import copy
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.eager import EagerBackend, EagerNetwork
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.parity import (
    TOLERANCES,
    PreparedNetwork,
    max_difference,
    prepare_with_parity,
    tolerance,
)
from torch import Tensor, nn

SHAPES = [BatchShape(rows, ((4,),), (torch.float32,)) for rows in (1, 2)]
Change = Callable[[Tensor], Tensor]


class ChangedBackend:
    """Eager, with ``change`` made to every output."""

    name = "changed"

    def __init__(self, change: Change) -> None:
        self._change = change

    def probe(self, device: torch.device) -> None:
        pass

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        eager = EagerNetwork(network)
        return lambda *inputs: tuple(self._change(output) for output in eager(*inputs))


@pytest.fixture
def module() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 4)


def prepare(module: nn.Module, change: Change, strict: bool = False) -> PreparedNetwork:
    return prepare_with_parity(ChangedBackend(change), module, Role.PRIOR, SHAPES, torch.float32, strict)


def fail(output: Tensor) -> Tensor:
    raise RuntimeError("kernel launch failed")


def test_a_small_difference_passes_and_is_reported(module: nn.Module) -> None:
    prepared = prepare(module, lambda output: output + 1e-5)
    assert prepared.backend_name == "changed"
    assert prepared.parity_difference == pytest.approx(1e-5, rel=0.1)
    assert prepared.fallback is None


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        (lambda output: output + 1e-3, "Parity", "differs from eager by 0.001"),
        (lambda output: output * math.nan, "Parity", "differs from eager by inf"),
        (lambda output: output[:, :3], "Parity", "differs from eager by inf"),
        (lambda output: output[:1] if len(output) > 1 else output, "Parity", "differs from eager by inf"),
        (
            lambda output: output.half(),
            "TypeError",
            "a tuple of torch.float16 where eager returns a tuple of",
        ),
        (lambda output: output.numpy(), "TypeError", "a tuple of ndarray where eager"),
        (fail, "RuntimeError", "RuntimeError: kernel launch failed"),
    ],
)
def test_what_is_wrong_falls_back_to_eager_loudly(
    module: nn.Module, change: Change, kind: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        prepared = prepare(module, change)
    assert prepared.backend_name == "eager"
    assert prepared.fallback is not None
    assert (prepared.fallback.backend_name, prepared.fallback.kind) == ("changed", kind)
    assert reason in prepared.fallback.reason
    assert "Falling back to eager" in caplog.text
    inputs = SHAPES[1].random_inputs(torch.device("cpu"))
    assert torch.equal(prepared.network(*inputs)[0], module(*inputs))


def test_strict_raises_instead(module: nn.Module) -> None:
    with pytest.raises(BackendUnavailable, match="kernel launch failed"):
        prepare(module, fail, strict=True)


@pytest.mark.parametrize("returned", [lambda outputs: outputs[0], lambda outputs: (*outputs, outputs[0])])
def test_one_tuple_of_the_right_length_is_returned(
    module: nn.Module, returned: Callable[[tuple[Tensor, ...]], Any]
) -> None:
    class Other(ChangedBackend):
        def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
            eager = EagerNetwork(network)
            return lambda *inputs: returned(eager(*inputs))

    with pytest.raises(
        BackendUnavailable, match=r"returned a .* where eager returns a tuple of torch.float32"
    ):
        prepare_with_parity(Other(lambda x: x), module, Role.PRIOR, SHAPES, torch.float32, strict=True)


@pytest.mark.parametrize("strict", [True, False])
def test_a_backend_that_spoils_the_weights_is_found_out(module: nn.Module, strict: bool) -> None:
    class Spoiler(ChangedBackend):
        def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
            for parameter in network.parameters():
                parameter.data *= 2
            return super().prepare(network, role, shapes)

    with pytest.raises(BackendUnavailable, match="differs from eager"):
        prepare_with_parity(Spoiler(lambda x: x), module, Role.PRIOR, SHAPES, torch.float32, strict)


def test_a_network_that_is_nan_in_eager_too_is_nobodys_spoiling(module: nn.Linear) -> None:
    with torch.no_grad():
        module.weight.fill_(math.nan)
    prepared = prepare(module, lambda output: output)
    assert prepared.backend_name == "eager"
    assert prepared.fallback is not None
    assert prepared.fallback.kind == "Parity"


def test_a_strangers_backend_that_calls_itself_eager_is_compared_all_the_same(module: nn.Module) -> None:
    class Impostor(ChangedBackend):
        name = "eager"

    with pytest.raises(BackendUnavailable, match="differs from eager"):
        prepare_with_parity(Impostor(lambda x: x + 1), module, Role.PRIOR, SHAPES, torch.float32, strict=True)


def test_what_a_backend_leaves_to_eager_is_said_to_be_eagers(module: nn.Module) -> None:
    class Lazy(ChangedBackend):
        def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
            return EagerNetwork(network)

    prepared = prepare_with_parity(Lazy(lambda x: x), module, Role.PRIOR, SHAPES, torch.float32, strict=True)
    assert (prepared.backend_name, prepared.parity_difference, prepared.fallback) == ("eager", None, None)


def test_eager_is_not_compared_with_itself(module: nn.Module) -> None:
    backend = EagerBackend(BackendOptions())
    prepared = prepare_with_parity(backend, module, Role.PRIOR, SHAPES, torch.float32, strict=True)
    assert (prepared.backend_name, prepared.parity_difference) == ("eager", None)


def test_large_outputs_are_compared_in_units_of_their_largest_value() -> None:
    reference = torch.tensor([100.0, 1.0])
    assert max_difference(reference + 1, reference) == pytest.approx(0.01)
    assert max_difference(reference / 100 + 1, reference / 100) == pytest.approx(1)


def test_every_dtype_that_is_served_has_a_tolerance() -> None:
    assert TOLERANCES.keys() == {torch.float32, torch.float16, torch.bfloat16}
    assert TOLERANCES[torch.float32] < TOLERANCES[torch.float16] < TOLERANCES[torch.bfloat16]


class Rewriter(ChangedBackend):
    """Eager, which has done something to each parameter of the module."""

    def __init__(self, rewrite: Callable[[Tensor], Tensor], change: Change = lambda output: output) -> None:
        super().__init__(change)
        self._rewrite = rewrite

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        for parameter in network.parameters():
            parameter.data = self._rewrite(parameter.data)
        return super().prepare(network, role, shapes)


PICTURES = [BatchShape(rows, ((6, 8, 8),), (torch.float32,)) for rows in (1, 2)]


@pytest.fixture
def convolution() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(6, 8, 3)


def channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_a_backend_may_put_weights_into_another_order(convolution: nn.Conv2d, wrong: float) -> None:
    """Kernels for another order add in another order: such outputs say nothing of the weights."""
    before = convolution.weight.clone()
    # As on CUDA with TF32, eager itself differs by more than the gate allows once the order is another.
    convolution.register_forward_hook(
        lambda module, _, output: (
            output + 1e-3 * module.weight.is_contiguous(memory_format=torch.channels_last)
        )
    )
    backend = Rewriter(channels_last, lambda output: output - 1e-3 + wrong)
    prepared = prepare_with_parity(backend, convolution, Role.UNET, PICTURES, torch.float32, strict=False)
    assert prepared.backend_name == ("eager" if wrong else "changed")
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(convolution.weight, before)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda tensor: tensor * (1 + 1e-6),
        lambda tensor: tensor.flip(0),
        lambda tensor: tensor.half().float(),
        lambda tensor: torch.nextafter(tensor, torch.full_like(tensor, 9.0)),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_backend_that_changes_a_value_is_found_out_though_its_answers_are_right(
    convolution: nn.Module, rewrite: Callable[[Tensor], Tensor], strict: bool
) -> None:
    right = EagerNetwork(copy.deepcopy(convolution))

    class Sly(Rewriter):
        def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
            super().prepare(network, role, shapes)
            return lambda *inputs: right(*inputs)

    with pytest.raises(BackendUnavailable, match=r"changed the network's weights \(bias, weight\)"):
        prepare_with_parity(Sly(rewrite), convolution, Role.UNET, PICTURES, torch.float32, strict)


def test_a_backend_that_says_it_is_exact_must_be(module: nn.Module) -> None:
    class Exact(ChangedBackend):
        exact = True

    right = prepare_with_parity(Exact(lambda x: x), module, Role.PRIOR, SHAPES, torch.float32, strict=True)
    assert (right.backend_name, right.parity_difference) == ("changed", 0.0)
    with pytest.raises(BackendUnavailable, match=r"differs from eager by .*; 0 is allowed"):
        prepare_with_parity(Exact(lambda x: x + 1e-6), module, Role.PRIOR, SHAPES, torch.float32, strict=True)


def test_tf32_has_a_tolerance_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, cuda, cpu = ChangedBackend(lambda x: x), torch.device("cuda"), torch.device("cpu")
    for allowed, wanted in ((False, 1e-4), (True, 2e-2)):
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
        assert tolerance(backend, torch.float32, cuda) == wanted
        assert tolerance(backend, torch.float32, cpu) == 1e-4
        assert tolerance(backend, torch.float16, cuda) == 2e-2
