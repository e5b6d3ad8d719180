"""The public contract suite finds what is wrong with a backend."""

from collections.abc import Callable, Sequence

import pytest
import torch
from kandinsky_backends.base import BatchShape, Network, Role
from kandinsky_backends.eager import EagerBackend, EagerNetwork
from kandinsky_backends.testing import BackendContract
from torch import Tensor, nn

Wrap = Callable[[Network], Network]


def contract(wrap: Wrap) -> BackendContract:
    """The suite for a backend that is eager but for ``wrap``."""

    class WrappedBackend(EagerBackend):
        name = "wrapped"

        def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
            return wrap(EagerNetwork(network))

    class Suite(BackendContract):
        backend = WrappedBackend
        roles = (Role.PRIOR,)

    return Suite()


def reuse_outputs(network: Network) -> Network:
    buffers: dict[torch.Size, Tensor] = {}

    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        (output,) = network(*inputs)
        return (buffers.setdefault(output.shape, output).copy_(output),)

    return call


def overwrite_inputs(network: Network) -> Network:
    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = network(*inputs)
        inputs[0].zero_()
        return outputs

    return call


def serve_even_rows(network: Network) -> Network:
    return lambda *inputs: network(*(tensor[: len(tensor) // 2 * 2] for tensor in inputs))


def ignore_the_mask(network: Network) -> Network:
    return lambda *inputs: network(*inputs[:-1], torch.ones_like(inputs[-1]))


@pytest.mark.parametrize(
    ("wrap", "run"),
    [
        (reuse_outputs, lambda suite: suite.test_outputs_belong_to_the_caller()),
        (overwrite_inputs, lambda suite: suite.test_leaves_weights_and_inputs_alone()),
        (serve_even_rows, lambda suite: suite.test_gives_what_eager_gives_for_any_rows(3)),
        (ignore_the_mask, lambda suite: suite.test_gives_what_eager_gives_for_any_rows(2)),
    ],
)
def test_a_broken_backend_fails(wrap: Wrap, run: Callable[[BackendContract], None]) -> None:
    with pytest.raises(AssertionError):
        run(contract(wrap))
    run(contract(lambda network: network))
