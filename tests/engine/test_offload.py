"""With offloading, weights move seldom: lanes are served one network at a time."""

import pytest
import torch
from kandinsky_server.diffusion.residency import Residency
from kandinsky_server.engine.network import DeviceNetwork
from kandinsky_server.engine.trajectory import LaneKey
from torch import nn

from tests.engine.fakes import Count, add_one, results, running, submit_all

DEVICE = torch.device("meta")


class Mover:
    """Stands in for an accelerator: keeps a log of what went where, and of what was called while it was away."""

    def __init__(self, *names: str) -> None:
        self.modules = {name: nn.Identity() for name in names}
        self.log: list[str] = []
        self.present: set[str] = set()
        self.absent_calls: list[str] = []

    def move(self, module: nn.Module, device: torch.device) -> None:
        name = next(name for name, known in self.modules.items() if known is module)
        self.log.append(f"{name} {'in' if device == DEVICE else 'out'}")
        (self.present.add if device == DEVICE else self.present.discard)(name)

    def residency(self) -> Residency:
        residency = Residency(DEVICE, self.move)
        for name, module in self.modules.items():
            residency.add(name, module)
        return residency

    def network(self, name: str) -> DeviceNetwork:
        def call(values: torch.Tensor) -> tuple[torch.Tensor]:
            if name not in self.present:
                self.absent_calls.append(name)
            return add_one(values)

        return DeviceNetwork(name, name, "eager", call, 8)


def trajectories(name: str, count: int, steps: int) -> list[Count]:
    return [Count(steps=steps, lane=LaneKey(name, (1,))) for _ in range(count)]


async def test_the_network_on_the_device_is_served_until_its_work_is_done() -> None:
    mover = Mover("prior", "decoder")
    networks = [mover.network(name) for name in mover.modules]
    async with running(*networks, residency=mover.residency()) as engine:
        work = [*trajectories("prior", 2, 20), *trajectories("decoder", 3, 30)]
        assert await results(submit_all(engine, work)) == [20.0, 20.0, 30.0, 30.0, 30.0]
    assert mover.log == ["prior in", "prior out", "decoder in"]
    assert mover.absent_calls == []


async def test_networks_that_were_never_offloaded_stay_where_they_are() -> None:
    mover = Mover("decoder")
    stays = DeviceNetwork("depth", "depth", "eager", add_one, 8)
    async with running(mover.network("decoder"), stays, residency=mover.residency()) as engine:
        work = [*trajectories("decoder", 1, 3), *trajectories("depth", 1, 3), *trajectories("decoder", 1, 5)]
        assert await results(submit_all(engine, work)) == [3.0, 3.0, 5.0]
    assert mover.log == ["decoder in"]


def test_a_network_that_left_for_one_that_did_not_fit_comes_back() -> None:
    mover = Mover("small", "large")

    def move(module: nn.Module, device: torch.device) -> None:
        if module is mover.modules["large"] and device == DEVICE:
            raise torch.OutOfMemoryError("out of memory")
        mover.move(module, device)

    residency = Residency(DEVICE, move)
    for name, module in mover.modules.items():
        residency.add(name, module)
    residency.ensure("small")
    with pytest.raises(torch.OutOfMemoryError):
        residency.ensure("large")
    residency.ensure("small")
    assert mover.log == ["small in", "small out", "small in"]
