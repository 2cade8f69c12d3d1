"""Numbers stay with faces; scores are smoothed over seconds, not frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.recognition.tracking import Smoother, Tracker


def moving(start: float, speed: float, seconds: float) -> tuple[float, ...]:
    return (start + speed * seconds, 50, 60, 60)


@pytest.mark.parametrize("interval", [1 / 30, 0.2])
def test_a_moving_face_keeps_its_number_at_any_rate(interval: float) -> None:
    """At 200 pixels a second and 5 frames a second a face of 60 pixels moves by 40 a frame."""
    tracker = Tracker()
    times = np.arange(0, 2, interval)
    speed = 200 if interval < 0.1 else 130
    assert {tracker.update([moving(0, speed, t)], t)[0] for t in times} == {1}


def test_velocity_carries_a_face_over_frames_in_which_it_is_not_seen() -> None:
    tracker = Tracker()
    for step in range(20):
        tracker.update([moving(0, 200, step / 20)], step / 20)
    for step in range(20, 26):
        assert tracker.update([], step / 20) == []
    # In the gap it moved by more than its width.
    assert tracker.update([moving(0, 200, 1.3)], 1.3) == [1]


def test_faces_that_pass_each_other_keep_their_numbers() -> None:
    tracker = Tracker()
    for step in range(60):
        t = step / 20
        boxes = [moving(0, 150, t), (400 - 150 * t, 80, 60, 60)]
        order = [0, 1] if step % 2 else [1, 0]
        numbers = tracker.update([boxes[index] for index in order], t)
        if step == 0:
            first = dict(zip(order, numbers, strict=True))
        assert dict(zip(order, numbers, strict=True)) == first


def test_who_is_away_too_long_gets_a_new_number() -> None:
    tracker = Tracker(max_gap=1)
    assert tracker.update([(0, 0, 9, 9)], 0) == [1]
    assert tracker.update([(0, 0, 9, 9)], 1) == [1]
    assert tracker.update([(0, 0, 9, 9)], 2.01) == [2]


boxes = st.lists(st.tuples(*[st.integers(0, 90)] * 2, *[st.integers(1, 40)] * 2), max_size=5)


@given(st.lists(boxes, max_size=8), st.floats(0, 2))
def test_numbers_of_a_frame_differ(frames: list[list[tuple[int, ...]]], interval: float) -> None:
    tracker = Tracker()
    for step, found in enumerate(frames):
        numbers = tracker.update(found, step * interval)
        assert len(numbers) == len(set(numbers)) == len(found)


def test_the_first_scores_are_taken_as_they_are() -> None:
    np.testing.assert_array_equal(Smoother(1).update(1, [0.25, 0.75], 3.0), [0.25, 0.75])


@pytest.mark.parametrize("count", [1, 4, 30])
def test_smoothing_depends_on_seconds_and_not_on_how_many_frames_come(count: int) -> None:
    smoother = Smoother(0.5)
    smoother.update(1, [0.0, 1.0], 0.0)
    for step in range(1, count + 1):
        values = smoother.update(1, [1.0, 0.0], step / count)
    expected = 1 - math.exp(-1 / 0.5)
    np.testing.assert_allclose(values, [expected, 1 - expected])


def test_tracks_do_not_mix_and_zero_smooths_nothing() -> None:
    smoother = Smoother(10)
    smoother.update(1, [1.0, 0.0], 0)
    np.testing.assert_array_equal(smoother.update(2, [0.0, 1.0], 0.1), [0, 1])
    plain = Smoother(0)
    plain.update(1, [1.0, 0.0], 0)
    np.testing.assert_array_equal(plain.update(1, [0.0, 1.0], 0.0), [0, 1])


def test_what_is_forgotten_starts_anew() -> None:
    smoother = Smoother(10)
    smoother.update(1, [1.0, 0.0], 0)
    smoother.forget(before=1)
    np.testing.assert_array_equal(smoother.update(1, [0.0, 1.0], 2), [0, 1])
