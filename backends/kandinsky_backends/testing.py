"""The contract of a backend as pytest tests, for authors of backends.

In a test file of your package::

    from kandinsky_backends.testing import BackendContract
    from my_package import MyBackend

    class TestMyBackend(BackendContract):
        backend = MyBackend

``options``, ``device`` and ``roles`` may be set in the same way. The networks are the small ones of
``reference.py``.
"""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import ClassVar, Protocol

import pytest
import torch
from torch import Tensor, nn

from kandinsky_backends.base import Backend, BatchShape, Network, Role
from kandinsky_backends.eager import EagerBackend, EagerNetwork
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.parity import max_difference, tolerance
from kandinsky_backends.precision import set_precision
from kandinsky_backends.reference import reference_network, reference_shape

WARM_ROWS = (1, 2)


class Factory(Hashable, Protocol):
    """A backend's class, or what makes one; no method of the class that holds it, as a Callable would be."""

    def __call__(self, options: BackendOptions, /) -> Backend:
        """Makes the backend."""
        ...


class BackendContract:
    """What the server relies on. Subclass it and set ``backend``."""

    backend: ClassVar[Factory]
    options: ClassVar[BackendOptions] = BackendOptions()
    device: ClassVar[torch.device] = torch.device("cpu")
    roles: ClassVar[tuple[Role, ...]] = (Role.PRIOR, Role.UNET)

    @pytest.fixture(autouse=True)
    def _as_the_server_computes(self) -> None:
        """Products of float32 numbers are not rounded to TF32."""
        set_precision()

    def test_is_a_backend_that_can_be_used_here(self) -> None:
        """The name is a word, and ``probe`` raises nothing on this device."""
        backend = type(self).backend(self.options)
        assert isinstance(backend, Backend)
        assert backend.name
        backend.probe(self.device)

    @pytest.mark.parametrize("rows", [1, 2, 3, 5])
    def test_gives_what_eager_gives_for_any_rows(self, rows: int) -> None:
        """Also for row counts that it was not prepared for."""
        for role in self.roles:
            self._assert_parity(role, reference_shape(role, rows))

    @pytest.mark.parametrize("latent", [(4, 8, 16), (4, 16, 8)])
    def test_takes_other_sizes_than_it_was_prepared_for(self, latent: tuple[int, int, int]) -> None:
        """Images that are not square, of the multiples of 64 pixels that the UNet takes."""
        for role in {Role.UNET, Role.MOVQ_DECODER} & set(self.roles):
            self._assert_parity(role, reference_shape(role, 2, latent))

    def test_takes_inputs_that_are_not_contiguous(self) -> None:
        """Transposed, sliced and expanded tensors come from the engine as they are.

        A backend that copies them into one order may use other kernels than eager, and so round differently.
        """
        for role in self.roles:
            module, network = self._networks(role)
            wide = reference_shape(role, 4).random_inputs(self.device)
            inputs = tuple(tensor[::2] for tensor in wide)
            self._assert_equal(network(*inputs), EagerNetwork(module)(*inputs), exact=False)

    def test_needs_no_shapes(self) -> None:
        """``shapes`` may be empty: nothing is warmed up then, and everything works."""
        role = self.roles[0]
        module = reference_network(role).to(self.device)
        network = type(self).backend(self.options).prepare(module, role, [])
        inputs = reference_shape(role, 2).random_inputs(self.device)
        self._assert_equal(network(*inputs), EagerNetwork(module)(*inputs))

    def test_leaves_weights_and_inputs_alone(self) -> None:
        """Eager and other stages may hold the same weights; the engine keeps its latents."""
        for role in self.roles:
            module, network = self._networks(role)
            inputs = reference_shape(role, 2).random_inputs(self.device)
            copies = [tensor.clone() for tensor in inputs]
            network(*inputs)
            assert all(map(torch.equal, inputs, copies))
            fresh = reference_network(role).to(self.device).state_dict()
            weights = module.state_dict()
            assert weights.keys() == fresh.keys()
            assert all(torch.equal(weights[name], fresh[name]) for name in fresh)

    def test_outputs_belong_to_the_caller(self) -> None:
        """A later call must not write into what an earlier one gave."""
        for role in self.roles:
            _, network = self._networks(role)
            outputs = network(*reference_shape(role, 2).random_inputs(self.device, seed=1))
            copies = [output.clone() for output in outputs]
            network(*reference_shape(role, 2).random_inputs(self.device, seed=2))
            assert all(map(torch.equal, outputs, copies))
            assert not any(output.requires_grad for output in outputs)

    def test_can_be_called_from_another_thread_than_it_was_prepared_in(self) -> None:
        """The engine's thread is not the one that loads the model."""
        for role in self.roles:
            module, network = self._networks(role)
            inputs = reference_shape(role, 2).random_inputs(self.device)
            with ThreadPoolExecutor(1) as pool:
                outputs = pool.submit(network, *inputs).result()
                # There too: torch's number of threads, and so the order of additions, may be another in each thread.
                expected = pool.submit(EagerNetwork(module), *inputs).result()
            self._assert_equal(outputs, expected)

    def _networks(self, role: Role) -> tuple[nn.Module, Network]:
        return _prepared(type(self).backend, self.options, self.device, role)

    def _assert_parity(self, role: Role, shape: BatchShape) -> None:
        module, network = self._networks(role)
        inputs = shape.random_inputs(self.device)
        self._assert_equal(network(*inputs), EagerNetwork(module)(*inputs))

    def _assert_equal(
        self, outputs: tuple[Tensor, ...], references: tuple[Tensor, ...], exact: bool = True
    ) -> None:
        """Same count, shapes and dtypes, and values within the parity gate's tolerance.

        Without ``exact`` it is the dtype's, also for a backend that says it is eager's to the bit.
        """
        backend = type(self).backend(self.options) if exact else EagerBackend(self.options)
        assert isinstance(outputs, tuple)
        assert len(outputs) == len(references)
        for output, reference in zip(outputs, references, strict=True):
            assert output.dtype == reference.dtype
            allowed = tolerance(backend, reference.dtype, self.device)
            assert max_difference(output, reference) <= allowed


@cache
def _prepared(
    backend: Factory, options: BackendOptions, device: torch.device, role: Role
) -> tuple[nn.Module, Network]:
    """A module and its prepared network; once for all tests, since preparing can take long."""
    module = reference_network(role).to(device)
    shapes = [reference_shape(role, rows) for rows in WARM_ROWS]
    return module, backend(options).prepare(module, role, shapes)
