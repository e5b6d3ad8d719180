"""Standard output and error whose readers are stuck or gone: nobody waits for them, and nothing fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from grpc import StatusCode
from kandinsky_api.v1 import prior_pb2
from kandinsky_api.v1 import types_pb2 as pb
from kandinsky_server.telemetry.output import OutputStream

from benchmarks.attacks.bystanders import stall_log
from tests.support import process
from tests.support.patience import eventually
from tests.support.raw import connected


def test_what_is_over_the_limit_is_dropped_and_counted() -> None:
    dropped = list[int]()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        stream = OutputStream(reader.stdin.fileno(), 100, dropped.append)
        print("x" * 200 + "\ny", file=stream)
        assert sum(dropped) == 1, "the end of the line still fits"
        print("short", file=stream)
        stream.drain(60)
        reader.stdin.close()
        assert reader.stdout.read() == b"\nshort\n"
        print("to nobody", file=stream)
        eventually(lambda: sum(dropped) == 2)


@pytest.mark.slow
def test_a_log_that_nobody_reads_holds_up_nobody(tiny_model: Path) -> None:
    verdict = stall_log(tiny_model / "prior", 600, "--log-buffer-bytes=20000")
    assert verdict.held, verdict.measured


@pytest.mark.slow
def test_readers_that_go_away_are_not_missed(tiny_model: Path) -> None:
    command = [*process.START, *process.TINY, "--model=null", f"--prior={tiny_model / 'prior'}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as server:  # type: ignore[call-overload]
        try:
            target = server.stdout.readline().split()[-1]
            server.stdout.close()
            server.stderr.close()
            with connected(target) as raw:
                eventually(lambda: raw.serving() == "SERVING")
                for _ in range(3):
                    assert raw.call("Prior", prior_pb2.PriorRequest()).reason == "INVALID_FIELD"
            server.terminate()
            assert server.wait(60) == 0
        finally:
            server.kill()


@pytest.mark.slow
def test_a_check_may_be_piped_to_who_does_not_read_it(tiny_model: Path) -> None:
    command = [*process.START, *process.TINY, "--model=null", f"--prior={tiny_model / 'prior'}", "--check"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as check:  # type: ignore[call-overload]
        check.stdout.close()
        assert check.wait(120) == 0
        assert check.stderr.read() == ""


@pytest.mark.slow
def test_a_prompt_gives_the_terminal_no_orders(tiny_model: Path) -> None:
    clear = "\x1b[2J\x07"
    flags = ("--model=null", f"--prior={tiny_model / 'prior'}", "--log-prompts", "--log-format=console")
    with process.Process(tiny_model, *flags) as server, connected(server.target("serving")) as raw:
        request = prior_pb2.PriorRequest(
            prompts=[clear], negative_prompt=clear, sampling=pb.PriorSampling(step_count=2)
        )
        assert raw.call("Prior", request).code == StatusCode.OK
        server.terminate()
        assert server.wait() == 0
    (line,) = [line for line in server.errors if "Prior" in line and "request_id" in line]
    assert "negative_prompt" in line
    assert clear not in line
