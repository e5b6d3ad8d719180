"""With offloading, weights move seldom, in one direction, and all or none: lanes are served one network at a time."""

from collections.abc import Iterator

import pytest
import torch
from kandinsky_backends.skeleton import share_weights
from kandinsky_server.diffusion.residency import Residency
from kandinsky_server.engine.network import DeviceNetwork
from kandinsky_server.engine.trajectory import BatchKey
from kandinsky_server.errors import BackendFailed
from torch import Tensor, nn

from tests.engine.accelerator import DEVICE, Accelerator, pointers, tensors
from tests.engine.fakes import Count, add_one, results, running, submit_all


def network() -> nn.Module:
    """Three parameters and five buffers."""
    return nn.Sequential(
        nn.Linear(4, 4, bias=False), nn.BatchNorm1d(4), nn.BatchNorm1d(4, affine=False)
    ).eval()


@pytest.fixture
def accelerator() -> Accelerator:
    return Accelerator()


def residency_of(accelerator: Accelerator, **modules: nn.Module) -> Residency:
    residency = Residency(DEVICE, accelerator.copy)
    for name, module in modules.items():
        residency.add(name, module)
    return residency


def test_what_leaves_is_what_was_there_and_is_not_copied_back(accelerator: Accelerator) -> None:
    first, second = network(), network()
    masters, values = pointers(first), [tensor.clone() for tensor in tensors(first)]
    residency = residency_of(accelerator, first=first, second=second)
    residency.ensure("first")
    assert all(accelerator.holds(first))
    assert not any(accelerator.holds(second))
    assert all(map(torch.equal, tensors(first), values))
    accelerator.copies.clear()
    residency.ensure("second")
    assert pointers(first) == masters, "its weights are where they always were"
    assert all(map(torch.equal, tensors(first), values))
    assert accelerator.copied == len(tensors(first)) + len(tensors(second))


def test_trees_that_share_weights_move_with_them(accelerator: Accelerator) -> None:
    module, inputs = network(), torch.randn(2, 4)
    shared, expected = share_weights(module), module(inputs)
    residency = residency_of(accelerator, module=module, other=network())
    for name in ("module", "other", "module"):
        residency.ensure(name)
        assert accelerator.holds(shared) == accelerator.holds(module)
        assert torch.equal(shared(inputs), expected)


def test_two_names_of_one_module_move_once(accelerator: Accelerator) -> None:
    movq = network()
    before = pointers(movq)
    decoder, encoder = nn.Sequential(movq), nn.Sequential(movq)
    residency = residency_of(accelerator, decoder=decoder, encoder=encoder, other=network())
    residency.ensure("decoder")
    residency.ensure("encoder")
    assert residency.resident == "encoder"
    assert all(accelerator.holds(movq))
    assert accelerator.copied == len(tensors(movq))
    residency.ensure("other")
    assert pointers(movq) == before


def test_a_network_that_fits_only_half_leaves_the_device_whole() -> None:
    accelerator = Accelerator(room=9)
    small, large = nn.Sequential(network()), nn.Sequential(network(), network())
    before = [pointers(small), pointers(large)]
    residency = residency_of(accelerator, small=small, large=large)
    residency.ensure("small")
    accelerator.copies.clear()
    with pytest.raises(torch.OutOfMemoryError):
        residency.ensure("large")
    assert residency.resident is None
    assert [pointers(small), pointers(large)] == before
    accelerator.copies.clear()
    residency.ensure("small")
    assert all(accelerator.holds(small))


class Watched:
    """Networks of one weight each; ``log`` tells which came to the device, ``absent`` which was called while away."""

    def __init__(self, *names: str) -> None:
        self.accelerator = Accelerator()
        self.modules = {name: nn.Linear(1, 1, bias=False) for name in names}
        self.residency = Residency(DEVICE, self._copy)
        self.log: list[str] = []
        self.absent: list[str] = []
        for name, module in self.modules.items():
            self.residency.add(name, module)

    def _copy(self, values: Tensor, device: torch.device) -> Tensor:
        self.log += [
            name for name, module in self.modules.items() if module.weight.data_ptr() == values.data_ptr()
        ]
        return self.accelerator.copy(values, device)

    def networks(self) -> Iterator[DeviceNetwork]:
        for name, module in self.modules.items():

            def call(values: Tensor, name: str = name, module: nn.Module = module) -> tuple[Tensor]:
                if not all(self.accelerator.holds(module)):
                    self.absent.append(name)
                return add_one(values)

            yield DeviceNetwork(name, name, "eager", call, 8)


def trajectories(name: str, count: int, steps: int) -> list[Count]:
    return [Count(steps=steps, lane=BatchKey(name, (1,))) for _ in range(count)]


async def test_the_network_on_the_device_is_served_until_its_work_is_done() -> None:
    watched = Watched("prior", "decoder")
    async with running(*watched.networks(), residency=watched.residency) as engine:
        work = [*trajectories("prior", 2, 20), *trajectories("decoder", 3, 30)]
        assert await results(submit_all(engine, work)) == [20.0, 20.0, 30.0, 30.0, 30.0]
    assert watched.log == ["prior", "decoder"]
    assert watched.absent == []


async def test_requests_whose_network_does_not_fit_are_told_so_and_the_others_served() -> None:
    watched = Watched("small", "large")
    copy = watched.residency._copy

    def none_left(values: Tensor, device: torch.device) -> Tensor:
        if values.data_ptr() == watched.modules["large"].weight.data_ptr():
            raise torch.OutOfMemoryError("out of memory")
        return copy(values, device)

    watched.residency._copy = none_left
    async with running(*watched.networks(), residency=watched.residency) as engine:
        work = [*trajectories("large", 2, 3), *trajectories("small", 1, 3)]
        *refused, served = await results(submit_all(engine, work))
        assert served == 3.0
        assert [type(failure) for failure in refused] == [BackendFailed] * 2
        assert all("no memory" in str(failure) for failure in refused)
    assert watched.absent == []


async def test_networks_that_were_never_offloaded_stay_where_they_are() -> None:
    watched = Watched("decoder")
    stays = DeviceNetwork("depth", "depth", "eager", add_one, 8)
    async with running(*watched.networks(), stays, residency=watched.residency) as engine:
        work = [*trajectories("decoder", 1, 3), *trajectories("depth", 1, 3), *trajectories("decoder", 1, 5)]
        assert await results(submit_all(engine, work)) == [3.0, 3.0, 5.0]
    assert watched.log == ["decoder"]
