"""Whether a model fits: the arithmetic, and that it is that of the model which is then loaded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from kandinsky_server.checkpoints.checkpoints import Checkpoints
from kandinsky_server.diffusion.depth import sketch_depth
from kandinsky_server.settings import Settings
from kandinsky_server.startup.activations import peak_bytes
from kandinsky_server.startup.capacity import Demand, shortage
from kandinsky_server.startup.device_memory import Memory
from kandinsky_server.startup.footprint import Footprint, NetworkBytes, footprint_of, weight_bytes
from kandinsky_server.startup.preflight import Preflight
from kandinsky_server.testing.running import RunningServer
from torch import nn

from tests.support.raw import only

GB = 10**9

# Stage, weights, of which none before has, activations. The decoder's MoVQ has two halves, which are one module.
FULL = Footprint(
    (
        NetworkBytes("prior", 4 * GB, 4 * GB, GB // 10, pinned=5 * GB),
        NetworkBytes("prior", 8 * GB, 8 * GB, GB // 10, pinned=10 * GB),
        NetworkBytes("decoder", 5 * GB, 5 * GB, GB // 2, pinned=6 * GB),
        NetworkBytes("decoder", GB, GB, GB, pinned=GB),
        NetworkBytes("decoder", GB, 0, GB),
        NetworkBytes("depth", GB, GB, 0, stays=True),
    )
)


def told(device: int, main: int = 100 * GB, cuda: bool = True, **asked: Any) -> str | None:
    return shortage(replace(Demand(FULL, False, True), **asked), Memory(device, main, cuda))


def test_all_weights_and_the_largest_batch_are_on_the_device() -> None:
    assert FULL.weights == {"prior": 12 * GB, "decoder": 6 * GB, "depth": GB}
    assert FULL.on_device(offload=False) == 20 * GB
    assert told(20 * GB) is None
    assert told(20 * GB - 1)


def test_offloading_needs_the_largest_network_there_and_all_in_main_memory() -> None:
    assert FULL.on_device(offload=True) == 8 * GB + GB // 10 + GB, "what stays comes on top"
    assert FULL.in_main_memory() == 22 * GB
    assert told(10 * GB, offload=True) is None
    refusal = told(10 * GB, main=21 * GB, offload=True)
    assert refusal
    assert "with offloading the weights take 22.0 GB and 21.0 GB are free in main memory" in refusal


def test_in_pinned_memory_each_weight_takes_a_power_of_two(tiny_model: Path) -> None:
    """So torch has it, which the check on main memory goes by."""
    stage = Checkpoints(torch.device("cpu"), torch.float32).sketch("prior", str(tiny_model / "prior")).stage
    weights = [each for network in stage.networks for each in (*network.parameters(), *network.buffers())]
    rounded = {id(each): min(2**n for n in range(64) if 2**n >= each.nbytes) for each in weights}
    footprint = footprint_of([stage])
    assert footprint.in_main_memory() == sum(rounded.values()) > sum(footprint.weights.values())


def test_what_is_not_known_has_room() -> None:
    assert shortage(Demand(FULL, False, True), Memory(None, None, cuda=False)) is None


@pytest.mark.parametrize(
    ("free", "helps"),
    [
        (
            19,
            "--dtype fp16 (10.5 GB), or --offload model --backend eager (9.1 GB), or --dtype fp16 --offload model",
        ),
        (
            10,
            "--offload model --backend eager (9.1 GB), or --dtype fp16 --offload model --backend eager (5.0 GB), or ",
        ),
        (8, "it would fit with --dtype fp16 --offload model --backend eager (5.0 GB), or fewer stages"),
        (6, "it would fit with --dtype fp16 --offload model --backend eager (5.0 GB)"),
        (2, "it needs more memory"),
    ],
)
def test_only_what_would_help_is_named(free: int, helps: str) -> None:
    refusal = told(free * GB)
    assert refusal
    assert refusal.startswith(
        f"memory: the model takes 20.0 GB and {free}.0 GB are free on the device (weights: prior"
    )
    assert helps in refusal
    assert ("fewer stages" in refusal) == (free >= 7)
    assert "\n" not in refusal


def test_on_a_cpu_nothing_is_offloaded() -> None:
    refusal = told(19 * GB, cuda=False)
    assert refusal
    assert "20.0 GB and 19.0 GB are free in main memory" in refusal
    assert refusal.endswith("it would fit with --dtype bf16 --backend eager (10.5 GB), or fewer stages")


def test_half_precision_is_not_offered_twice() -> None:
    refusal = told(2 * GB, full_precision=False)
    assert refusal
    assert "--dtype" not in refusal


def test_activations_are_the_tensors_that_live_at_once() -> None:
    """Three of 40 bytes are there when the second layer's input is added to its output, inputs and weights left out."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(10, 10), nn.Linear(10, 10)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            middle = self.first(values)
            added: torch.Tensor = middle + self.second(middle)
            return added

    with torch.device("meta"):
        assert peak_bytes(Residual(), [torch.empty(1, 10)]) == 3 * 40
        assert peak_bytes(Residual(), [torch.empty(7, 10)]) == 7 * 3 * 40
        assert peak_bytes(Residual().half(), [torch.empty(7, 10).half()]) == 7 * 3 * 20


def test_what_cannot_be_told_counts_nothing() -> None:
    class Asking(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values if values.sum() > 0 else -values

    assert peak_bytes(Asking(), [torch.empty(3, device="meta")]) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_is_told_before_loading_is_what_the_loaded_weights_take(
    tiny_model: Path, dtype: torch.dtype
) -> None:
    stages = ("prior", "decoder", "controlnet")
    checkpoints = Checkpoints(torch.device("cpu"), dtype)
    drawn = [checkpoints.sketch(name, str(tiny_model / name)).stage for name in stages]
    footprint = footprint_of(drawn, sketch_depth(str(tiny_model / "depth")))
    loaded = [checkpoints.load(name, str(tiny_model / name)) for name in stages]
    found = weight_bytes({stage.name: stage.networks for stage in loaded})
    assert {name: footprint.weights[name] for name in stages} == found
    assert found["controlnet"] < found["decoder"], "their MoVQ is one"
    assert min(network.activations for network in footprint.networks if not network.stays) > 0


def preflight(model: Path, free: int, **settings: Any) -> Preflight:
    found = Preflight(
        Settings(model=str(model), port=0, metrics_port=0, device="cpu", backend="eager", **settings),
        memory_of=lambda device: Memory(free, free, cuda=False),
    )
    found.run()
    return found


@pytest.fixture
def decoder(tiny_model: Path, tmp_path: Path) -> Path:
    return only(tmp_path / "model", tiny_model, "decoder")


def test_the_start_is_refused_where_the_model_does_not_fit(decoder: Path) -> None:
    needed = dict(preflight(decoder, 10 * GB).findings)["memory"]
    assert needed.endswith(" MB at the least, and 10.0 GB are free")
    assert preflight(decoder, 10 * GB).problems == []
    (problem,) = preflight(decoder, 1_000_000).problems
    assert problem.startswith(
        f"memory: the model takes {needed.split(' at')[0]} and 1.0 MB are free in main memory"
    )


def test_threads_beyond_the_machines_are_refused(decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kandinsky_server.startup.preflight.usable_cores", lambda: 2)
    assert preflight(decoder, GB, threads=2).problems == []
    (problem,) = preflight(decoder, GB, threads=3).problems
    assert problem.startswith("threads: 3 are more than the 2 cores that this process may use")


def test_what_was_loaded_is_logged(tiny_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), RunningServer(decoder=str(tiny_model / "decoder"), max_batch_rows=4):
        pass
    (line,) = [record.message for record in caplog.records if record.message.startswith("weights: ")]
    assert "MB; rows of a batch at the native size: decoder 4; " in line
    assert line.endswith(" free on cpu; 1 threads")
