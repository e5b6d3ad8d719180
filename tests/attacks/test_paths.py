"""What clients are told holds no path of the server's disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from kandinsky_api.v1 import server_pb2
from kandinsky_server.checkpoints.source import PRESETS, public_name
from kandinsky_server.rpc.info import without_paths
from kandinsky_server.testing.running import RunningServer

from tests.support.raw import connected, only


def test_info_names_no_directory(tiny_model: Path, tmp_path: Path) -> None:
    model = only(tmp_path / "mine", tiny_model, "prior", "controlnet")
    depth = tmp_path / "depths"
    depth.symlink_to(tiny_model / "depth")
    with (
        RunningServer(model, metrics_port=None, depth_model=str(depth)) as running,
        connected(running.target) as raw,
    ):
        info = raw.server_service.GetServerInfo(server_pb2.GetServerInfoRequest())
    assert (info.model, info.depth_model) == ("mine", "depths")
    assert [stage.source for stage in info.stages] == ["prior", "", "", "controlnet"]
    assert str(tmp_path) not in str(info)
    assert str(tiny_model.parent) not in str(info)


def test_what_a_backend_says_of_its_failure_keeps_the_last_names_only() -> None:
    said = "cannot import name 'Core' from 'openvino' (/usr/lib/python3/site-packages/openvino/__init__.py)"
    assert without_paths(said) == "cannot import name 'Core' from 'openvino' (__init__.py)"
    assert (
        without_paths("No space left: '~/.cache/a/b.blob' in /var/tmp/") == "No space left: 'b.blob' in tmp"
    )
    for plain in ("1/2 and/or 3 / 4", "see https://a.example/b/c", 'pip install "kandinsky-server[otel]"'):
        assert without_paths(plain) == plain


@pytest.mark.parametrize("source", ["toy", *PRESETS, PRESETS["kandinsky-2.2"]["prior"]])
def test_what_is_public_anyway_is_told_whole(source: str) -> None:
    assert public_name(source) == source


@pytest.mark.parametrize("source", ["/srv/models/mine", "/srv/models/mine/", "~/mine", "./mine", "../x/mine"])
def test_of_a_directory_its_own_name_is_told(source: str) -> None:
    assert public_name(source) == "mine"
