"""The backend `graphs`: on CUDA with its real recorder, elsewhere with one that behaves like it."""

from __future__ import annotations

import gc
import logging

import pytest
import torch
from kandinsky_backends.base import BackendUnavailable, BatchShape, Role
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.graphed_network import EAGER_CALLS, GraphedNetwork, RecentRecordings
from kandinsky_backends.graphs import GraphsBackend
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.parity import prepare_with_parity
from kandinsky_backends.recorder import CudaRecorder, Recorder, Recording
from kandinsky_backends.reference import reference_network, reference_shape
from kandinsky_backends.testing import BackendContract
from kandinsky_server.engine.batch import Batch
from kandinsky_server.engine.device import Host
from kandinsky_server.testing.device import DEVICE
from torch import Tensor, nn

from tests.backends.pretended import PretendedRecorder
from tests.engine.fakes import Count, add_one, adder, run_of

on_cuda = pytest.mark.skipif(DEVICE.type != "cuda", reason="needs CUDA")


def backend(options: BackendOptions, recorder: Recorder | None = None) -> GraphsBackend:
    return GraphsBackend(options, recorder or (None if DEVICE.type == "cuda" else PretendedRecorder()))


class TestGraphs(BackendContract):
    backend = staticmethod(backend)
    device = DEVICE
    roles = (Role.PRIOR, Role.UNET, Role.MOVQ_DECODER, Role.TEXT_ENCODER)

    @on_cuda
    def test_is_a_backend_that_can_be_used_here(self) -> None:
        super().test_is_a_backend_that_can_be_used_here()


class Doubling(nn.Module):
    """Rows of any width, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0), requires_grad=False)

    def forward(self, rows: Tensor) -> tuple[Tensor]:
        return (self.factor * rows,)


@pytest.fixture
def recorder() -> PretendedRecorder:
    return PretendedRecorder()


def graphed(recorder: Recorder, most: int = 64) -> GraphedNetwork:
    return GraphedNetwork(Doubling(), Role.UNET, recorder, RecentRecordings(most))


def rows(count: int, width: int = 3, value: float = 1.0) -> Tensor:
    return torch.full((count, width), value)


def until_recorded(network: GraphedNetwork, *inputs: Tensor) -> None:
    for _ in range(EAGER_CALLS + 1):
        network(*inputs)


@pytest.mark.parametrize("role", [Role.PRIOR, Role.UNET, Role.MOVQ_DECODER])
def test_eagers_bits_for_shapes_that_were_foreseen_and_for_others(role: Role) -> None:
    """The others before and after they are recorded."""
    module = reference_network(role).to(DEVICE)
    shapes = [reference_shape(role, count) for count in (1, 4)]
    prepared = prepare_with_parity(
        backend(BackendOptions()), module, role, shapes, torch.float32, strict=True
    )
    assert (prepared.backend_name, prepared.parity_difference) == ("graphs", 0.0)
    network = prepared.network
    assert isinstance(network, GraphedNetwork)
    for count, calls in ((1, 2), (2, 2), (4, 2), (3, EAGER_CALLS + 2)):
        for seed in range(calls):
            inputs = reference_shape(role, count).random_inputs(DEVICE, seed)
            assert all(map(torch.equal, network(*inputs), EagerNetwork(module)(*inputs)))
    assert network.unprepared.count == EAGER_CALLS


def test_row_counts_that_guided_batches_have_are_recorded_ahead_largest_first(
    recorder: PretendedRecorder,
) -> None:
    module = reference_network(Role.PRIOR)
    shapes = [reference_shape(Role.PRIOR, count) for count in (1, 3, 8)]
    network = backend(BackendOptions(), recorder).prepare(module, Role.PRIOR, shapes)
    assert [shape[0] for shape in recorder.recorded] == [8, 6, 4, 3, 2, 1]
    assert isinstance(network, GraphedNetwork)


def test_recordings_of_a_network_that_is_gone_go_when_the_next_one_comes(recorder: PretendedRecorder) -> None:
    """As after a try with too many rows; nothing has to find a cycle for that."""
    graphs, shape = backend(BackendOptions(), recorder), BatchShape(2, ((3,),), (torch.float32,))
    gc.disable()
    try:
        tried = graphs.prepare(Doubling(), Role.UNET, [shape])
        del tried
        kept = graphs.prepare(Doubling(), Role.UNET, [shape])
        assert len(recorder.live) == 1
        assert torch.equal(kept(rows(2))[0], rows(2, value=2.0))
    finally:
        gc.enable()


def test_what_runs_once_a_request_is_left_to_eager(recorder: PretendedRecorder) -> None:
    network = backend(BackendOptions(), recorder).prepare(Doubling(), Role.TEXT_ENCODER, [])
    assert isinstance(network, EagerNetwork)


def test_two_answers_do_not_share_memory(recorder: PretendedRecorder) -> None:
    network = graphed(recorder)
    for count in (1, 2):
        until_recorded(network, rows(count))
    (first,) = network(rows(2, value=1.0))
    (second,) = network(rows(2, value=5.0))
    (other,) = network(rows(1, value=7.0))
    assert torch.equal(first, rows(2, value=2.0))
    assert torch.equal(second, rows(2, value=10.0))
    assert torch.equal(other, rows(1, value=14.0))
    assert len({tensor.data_ptr() for tensor in (first, second, other)}) == 3


def test_inputs_are_copied_and_may_have_any_order_in_memory(recorder: PretendedRecorder) -> None:
    network = graphed(recorder)
    given = rows(4)
    until_recorded(network, given)
    given.fill_(9.0)
    strided = torch.arange(12.0).reshape(3, 4).T
    assert torch.equal(network(strided)[0], 2 * strided)
    assert torch.equal(network(torch.tensor(3.0).expand(4, 3))[0], rows(4, value=6.0))
    assert torch.equal(given, rows(4, value=9.0))


def test_a_shape_is_eager_until_it_has_come_often(
    recorder: PretendedRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    network = graphed(recorder)
    heard = 0

    def listen() -> None:
        nonlocal heard
        heard += 1

    network.unprepared.listener = listen
    with caplog.at_level(logging.INFO, "kandinsky_backends"):
        for _ in range(EAGER_CALLS):
            network(rows(2))
            network(rows(2, width=5))
        assert not recorder.recorded
        for _ in range(3):
            network(rows(2))
    assert recorder.recorded == [(2, 3)]
    assert heard == network.unprepared.count == 2 * EAGER_CALLS
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(": ")[0] for line in told] == [
        "The unet network runs eagerly on (2, 3)",
        "The unet network runs eagerly on (2, 5)",
    ]


def test_dtypes_have_recordings_of_their_own(recorder: PretendedRecorder) -> None:
    network = graphed(recorder)
    until_recorded(network, rows(2))
    assert network(rows(2).double())[0].dtype == torch.float64


def test_the_recording_that_was_used_least_recently_goes_and_its_shape_counts_anew(
    recorder: PretendedRecorder,
) -> None:
    network = graphed(recorder, most=2)
    for count in (1, 2):
        until_recorded(network, rows(count))
    network(rows(1))
    until_recorded(network, rows(3))
    gc.collect()
    assert sorted(len(graph.outputs[0]) for graph in recorder.live) == [1, 3]
    network(rows(2))
    assert len(recorder.recorded) == 3
    until_recorded(network, rows(2))
    assert recorder.recorded[-1] == (2, 3)


def test_networks_of_one_backend_share_the_bound(recorder: PretendedRecorder) -> None:
    recent = RecentRecordings(most=2)
    networks = [GraphedNetwork(Doubling(), Role.UNET, recorder, recent) for _ in range(3)]
    for network in networks:
        until_recorded(network, rows(1))
    assert len(recent) == 2
    for network in networks:
        assert torch.equal(network(rows(1, value=4.0))[0], rows(1, value=8.0))


def test_without_room_for_a_recording_the_shape_stays_eager_and_nothing_is_held(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = PretendedRecorder(room=2)
    network = graphed(recorder)
    with caplog.at_level(logging.WARNING, "kandinsky_backends"):
        for _ in range(3):
            until_recorded(network, rows(3, value=4.0))
    assert torch.equal(network(rows(3, value=4.0))[0], rows(3, value=8.0))
    assert recorder.released == 1, "it is tried once"
    assert len(caplog.records) == 1
    assert "no room for a CUDA graph of the unet network for (3, 3)" in caplog.text
    assert network.unprepared.count == 3 * (EAGER_CALLS + 1) + 1
    until_recorded(network, rows(2))
    assert recorder.recorded == [(2, 3)]


def test_a_call_that_finds_no_room_fails_and_leaves_the_recordings(recorder: PretendedRecorder) -> None:
    """The cap on rows is to fall; were the recordings wiped, measuring would find that so many rows fit."""

    class Large(Doubling):
        def forward(self, rows: Tensor) -> tuple[Tensor]:
            if len(rows) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(rows)

    network = GraphedNetwork(Large(), Role.UNET, recorder, RecentRecordings())
    until_recorded(network, rows(2))
    with pytest.raises(torch.OutOfMemoryError):
        network(rows(3))
    assert len(recorder.live) == 1
    assert not recorder.released


async def test_recordings_make_room_for_a_lone_run_of_any_network(recorder: PretendedRecorder) -> None:
    """Also of one that the backend leaves to eager; once, and they come back as their shapes do."""
    graphs = backend(BackendOptions(), recorder)
    shape = BatchShape(2, ((3,),), (torch.float32,))
    unet = graphs.prepare(Doubling(), Role.UNET, [shape])

    def encoder(values: Tensor) -> tuple[Tensor]:
        if len(recorder.live):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return add_one(values)

    for _ in range(2):
        run = run_of(Count())
        run.trajectory.start()
        [outcome] = Batch(adder(encoder, release=graphs.release), [run], [], Host()).execute()
        [(_, share)] = outcome.shares
        assert isinstance(share, tuple)
    assert recorder.released == 1
    assert torch.equal(unet(rows(2, value=4.0))[0], rows(2, value=8.0))


def test_without_recordings_a_call_that_finds_no_room_fails(recorder: PretendedRecorder) -> None:
    class Larger(Doubling):
        def forward(self, rows: Tensor) -> tuple[Tensor]:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        GraphedNetwork(Larger(), Role.UNET, recorder, RecentRecordings())(rows(2))
    assert not recorder.released


def test_preparing_goes_on_with_fewer_rows_where_many_find_no_room() -> None:
    recorder = PretendedRecorder(room=4)
    shapes = [BatchShape(count, ((3,),), (torch.float32,)) for count in (1, 8)]
    prepared = prepare_with_parity(
        backend(BackendOptions(), recorder), Doubling(), Role.UNET, shapes, torch.float32, strict=True
    )
    assert prepared.backend_name == "graphs"
    assert [shape[0] for shape in recorder.recorded] == [4, 2, 1]


def test_what_cannot_be_recorded_is_the_callers_to_know() -> None:
    """The parity gate, and later the engine, put eager in its place."""

    class Refusing(PretendedRecorder):
        def record(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> Recording:
            raise RuntimeError("operation not permitted when stream is capturing")

    network = graphed(Refusing())
    with pytest.raises(RuntimeError, match="capturing"):
        until_recorded(network, rows(2))


def test_the_probe_says_what_it_is_for() -> None:
    with pytest.raises(BackendUnavailable, match=r"for CUDA only, not for 'cpu'.*--backend auto"):
        GraphsBackend(BackendOptions()).probe(torch.device("cpu"))


class Greedy(Doubling):
    """Has no room while it is recorded."""

    def forward(self, rows: Tensor) -> tuple[Tensor]:
        if torch.cuda.is_current_stream_capturing():
            torch.empty(2**45, device=rows.device)
        return super().forward(rows)


@on_cuda
def test_cuda_goes_on_after_a_recording_that_found_no_room() -> None:
    recorder, recent = CudaRecorder(), RecentRecordings()
    greedy, modest = (
        GraphedNetwork(module.to(DEVICE), Role.UNET, recorder, recent) for module in (Greedy(), Doubling())
    )
    given = rows(2, value=3.0).to(DEVICE)
    for network in (greedy, modest, greedy):
        until_recorded(network, given)
        assert torch.equal(network(given)[0], 2 * given)
    assert len(recent) == 1
    assert greedy.unprepared.count > 2 * EAGER_CALLS
