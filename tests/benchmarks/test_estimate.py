import pytest

from benchmarks.estimate import Prediction


@pytest.mark.parametrize(
    ("predicted", "near"), [(6.9, False), (7.1, True), (10.0, True), (12.9, True), (13.1, False)]
)
def test_a_prediction_is_held_to_what_was_measured(predicted: float, near: bool) -> None:
    assert Prediction("decode", predicted, measured=10.0).near == near
