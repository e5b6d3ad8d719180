"""The card, and what drives it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import torch

from benchmarks.figure import Figure
from benchmarks.gpu.plan import Plan, Stand

QUERY = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")


def measure(plan: Plan, stand: Stand) -> Iterator[Figure]:
    """Its memory in GiB; the rest is in the note."""
    command, software = plan.command("machine"), f"torch {torch.__version__}, {plan.dtype}"
    if not plan.cuda:
        yield Figure("card", None, [], " GiB", command, f"a CPU, no card; {software}")
        return
    driver = "unknown"
    if shutil.which(QUERY[0]):
        driver = subprocess.run(QUERY, capture_output=True, text=True, check=False).stdout.strip()
    memory = torch.cuda.mem_get_info()[1] / 2**30
    words = (
        f"{torch.cuda.get_device_name()}, driver {driver}, cuDNN {torch.backends.cudnn.version()}, {software}"
    )
    yield Figure("card", None, [memory], " GiB", command, words)
