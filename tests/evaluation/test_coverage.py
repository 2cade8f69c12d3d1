"""Accuracy against coverage, compared with plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import MienError
from mien.evaluation.coverage import coverage_curve

LEVELS = (0.25, 0.5, 0.625, 0.75, 1.0)


def rows(confidences: list[float]) -> np.ndarray:
    """Probabilities with these confidences for the first emotion, exact in float32."""
    found = np.zeros((len(confidences), 7), np.float32)
    found[:, 0] = confidences
    found[:, 1:] = (1 - found[:, :1]) / 6
    return found


images = st.lists(st.tuples(st.sampled_from(LEVELS), st.booleans()), min_size=1, max_size=40)
thresholds = st.sampled_from((0.0, *LEVELS, 0.3, 0.7, 0.99))


@settings(deadline=None)
@given(images, thresholds)
def test_a_threshold_does_what_counting_says(
    case: list[tuple[float, bool]], threshold: float
) -> None:
    labels = np.array([0 if right else 1 for _, right in case], np.int8)
    point = coverage_curve(labels, rows([c for c, _ in case])).at(threshold)
    answered = [right for confidence, right in case if confidence >= threshold]
    left = [right for confidence, right in case if confidence < threshold]
    assert point.answered == len(answered)
    assert point.coverage == pytest.approx(len(answered) / len(case))
    assert point.accuracy == (pytest.approx(np.mean(answered)) if answered else None)
    assert point.left_accuracy == (pytest.approx(np.mean(left)) if left else None)
    if point.interval is not None:
        assert point.interval[0] <= np.mean(answered) <= point.interval[1]
    else:
        assert not answered


@settings(deadline=None)
@given(images, st.floats(0, 1))
def test_no_other_threshold_answers_more_at_that_accuracy(
    case: list[tuple[float, bool]], wanted: float
) -> None:
    labels = np.array([0 if right else 1 for _, right in case], np.int8)
    curve = coverage_curve(labels, rows([c for c, _ in case]))
    points = [curve.at(level) for level in LEVELS]
    good = [p for p in points if p.accuracy is not None and p.accuracy >= wanted]
    if not good:
        with pytest.raises(MienError, match="no threshold reaches"):
            curve.reaching(wanted)
        return
    found = curve.reaching(wanted)
    assert found.accuracy is not None
    assert found.accuracy >= wanted
    assert found.answered == max(p.answered for p in good)


def test_the_area_is_the_mean_risk_by_hand() -> None:
    # Right, wrong, right, in the order of confidence: risks 0, 1/2, 1/3.
    curve = coverage_curve(np.array([0, 1, 0], np.int8), rows([1.0, 0.75, 0.5]))
    assert curve.risk_area == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    assert curve.coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    # Of the same confidence they are answered together.
    tied = coverage_curve(np.array([0, 1, 0], np.int8), rows([0.75, 0.75, 0.5]))
    assert tied.answered.tolist() == [2, 3]
    assert tied.risk_area == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)


def test_everything_is_answered_where_that_is_accurate_enough() -> None:
    point = coverage_curve(np.array([0, 0, 1], np.int8), rows([1.0, 0.75, 0.5])).reaching(0.6)
    assert (point.threshold, point.coverage) == (0.0, 1.0)
