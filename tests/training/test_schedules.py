"""Schedules against values worked out by hand from Keras's and Smith's descriptions."""

from __future__ import annotations

import pytest

from mien.training.recipe import Schedule
from mien.training.schedules import plateau_factor, step_factor


def test_one_cycle_is_a_triangle_down_to_zero() -> None:
    schedule = Schedule(name="one-cycle", warmup=0.2)
    factors = [step_factor(schedule, s, 10) for s in (0, 1, 2, 6, 10)]
    assert factors == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_cosine_is_half_way_down_in_the_middle() -> None:
    schedule = Schedule(name="cosine", warmup=0.0)
    factors = [step_factor(schedule, s, 10) for s in (0, 5, 10)]
    assert factors == pytest.approx([1, 0.5, 0])


@pytest.mark.parametrize("name", ["constant", "plateau"])
def test_steps_do_not_change_what_goes_by_epochs(name: str) -> None:
    assert step_factor(Schedule(name=name), 7, 10) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([], 1.0),
        ([0.5, 0.5, 0.5], 0.5),  # two epochs without a better one
        ([0.5, 0.5, 0.6, 0.6], 1.0),  # a better one resets the count
        ([0.5, 0.5, 0.5, 0.5], 0.5),  # the count starts anew after a reduction
        ([0.5, 0.5, 0.5, 0.5, 0.5], 0.25),
        ([0.5, 0.50005, 0.50009], 0.5),  # less than min_delta is not better
    ],
)
def test_plateau(accuracies: list[float], expected: float) -> None:
    schedule = Schedule(name="plateau", factor=0.5, patience=2)
    assert plateau_factor(schedule, accuracies) == expected


def test_other_schedules_know_no_plateau() -> None:
    assert plateau_factor(Schedule(name="cosine"), [0.5] * 50) == 1
