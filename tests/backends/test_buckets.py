"""Which buckets take a batch's rows."""

import pytest
from kandinsky_backends.buckets import BucketPlan

CPU = BucketPlan({1: 1.1, 2: 2.1, 4: 4.1, 8: 8.1, 16: 16.1})
"""A call's time is its rows'."""
GPU = BucketPlan({1: 1.0, 2: 1.0, 4: 1.1, 8: 1.2, 16: 1.4})
"""A call's time is the call's."""


@pytest.mark.parametrize(
    ("rows", "cpu", "gpu"),
    [
        (1, (1,), (1,)),
        (3, (2, 1), (4,)),
        (10, (8, 2), (16,)),
        (16, (16,), (16,)),
        (19, (16, 2, 1), (16, 4)),
        (35, (16, 16, 2, 1), (16, 16, 4)),
    ],
)
def test_rows_are_covered_in_the_least_time(rows: int, cpu: tuple[int, ...], gpu: tuple[int, ...]) -> None:
    assert (CPU(rows), GPU(rows)) == (cpu, gpu)


def test_a_bucket_that_turned_out_slow_is_not_called() -> None:
    assert BucketPlan({1: 1.0, 2: 9.0, 4: 4.0})(6) == (4, 1, 1)
