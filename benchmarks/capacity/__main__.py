"""`python -m benchmarks.capacity --images-per-second 40 --p99-seconds 10`: how many replicas that takes.

Step times and requests are those that `python -m benchmarks capacity` measured last, or of ``--measured FILE``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.capacity.measured import KEPT, Measured
from benchmarks.capacity.plan import replicas_for


def main() -> None:
    """Exits with 1 where so many replicas do not do."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--images-per-second", type=float, required=True, help="that come, on the average")
    parser.add_argument("--p99-seconds", type=float, required=True, help="99 of 100 requests are quicker")
    parser.add_argument("--bursts", action="store_true", help="they come in bursts of three times as many")
    parser.add_argument("--seconds", type=float, default=120.0, help="of simulated time (default 120)")
    parser.add_argument("--most", type=int, default=1000, help="replicas to try (default 1000)")
    parser.add_argument("--measured", type=Path, default=KEPT, help=f"a measurement (default {KEPT})")
    given = parser.parse_args()
    if not given.measured.exists():
        parser.error(f"there is no {given.measured}; `python -m benchmarks capacity` writes one")
    measured = Measured.read(given.measured)
    found = replicas_for(
        measured, given.images_per_second, given.p99_seconds, given.seconds, given.bursts, given.most
    )
    if found is None:
        sys.exit(f"{given.most} replicas do not answer in {given.p99_seconds:g} s at p99")
    replicas, fleet = found
    times = ", ".join(f"p{100 * share:g} {fleet.percentile(share):.2f} s" for share in (0.5, 0.99))
    print(f"{replicas} replicas: {times}, {fleet.images_per_second:.1f} images/s")


if __name__ == "__main__":
    main()
