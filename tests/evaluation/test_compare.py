"""Comparing two models: against tables in the literature, brute force and sums done by hand."""

from __future__ import annotations

from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import MienError
from mien.evaluation.compare import bootstrap_interval, compare, disagreement, mcnemar
from mien.evaluation.predictions import Predictions


def answering(answers: list[int], labels: list[int]) -> Predictions:
    """Return predictions that give 0.7 to the answers."""
    probabilities = np.full((len(answers), 7), 0.05, np.float32)
    probabilities[np.arange(len(answers)), answers] = 0.7
    names = np.array([f"{index}.png" for index in range(len(answers))])
    return Predictions(names, np.array(labels, np.int8), probabilities)


def test_mcnemar_known_values() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 1) == 1.0
    assert mcnemar(5, 0) == 2 / 32
    assert mcnemar(7, 7) == 1.0
    # 2 · (1 + 10 + 45) / 1024
    assert mcnemar(8, 2) == 0.109375


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 7), st.integers(0, 7))
def test_mcnemar_is_the_share_of_splits_as_uneven(first: int, second: int) -> None:
    splits = [sum(flips) for flips in product((0, 1), repeat=first + second)]
    distance = abs(first - second)
    uneven = sum(abs(first + second - 2 * split) >= distance for split in splits)
    assert mcnemar(first, second) == pytest.approx(uneven / len(splits))


def test_mcnemar_with_thousands_of_images() -> None:
    # The normal approximation with the correction for continuity: (200 − 1)² / 3600.
    expected = 2 * NormalDist().cdf(-199 / 60)
    assert mcnemar(1900, 1700) == pytest.approx(expected, rel=0.01)
    assert mcnemar(3500, 0) == 0.0  # 2⁻³⁴⁹⁹ is less than the least float


def test_the_interval_is_that_of_resampled_images() -> None:
    random = np.random.default_rng(3)
    # 12 images only the first gets right, 5 only the second, of 80: resampled one by one.
    difference = np.array([1] * 12 + [-1] * 5 + [0] * 63)
    gains = difference[random.integers(0, 80, (10_000, 80))].mean(axis=1)
    expected = np.quantile(gains, [0.025, 0.975])
    # Gains come in steps of 1/80.
    np.testing.assert_allclose(bootstrap_interval(12, 5, 80), expected, atol=1.01 / 80)


def test_the_interval_agrees_with_the_normal_one_for_many_images() -> None:
    share = np.array([300, 220]) / 3589
    gain = share[0] - share[1]
    error = np.sqrt((share.sum() - gain**2) / 3589)
    low, high = bootstrap_interval(300, 220, 3589)
    assert low == pytest.approx(gain - 1.96 * error, abs=5e-4)
    assert high == pytest.approx(gain + 1.96 * error, abs=5e-4)
    assert bootstrap_interval(300, 220, 3589) == (low, high)


def test_compare_counts_labeled_images_only() -> None:
    labels = [0, 1, 2, 3, -1]
    first = answering([0, 1, 2, 4, 4], labels)
    second = answering([0, 2, 3, 3, 5], labels)
    result = compare(first, second)
    assert (result.only_first, result.only_second, result.gain) == (2, 1, 0.25)
    assert result.p_value == 1.0
    assert result.interval[0] <= result.gain <= result.interval[1]
    assert result.to_dict()["interval"] == list(result.interval)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=12))
def test_swapping_turns_the_gain_around(rows: list[tuple[int, int, int]]) -> None:
    labels, one, two = (list(column) for column in zip(*rows, strict=True))
    first, second = answering(one, labels), answering(two, labels)
    there, back = compare(first, second), compare(second, first)
    assert there.gain == -back.gain
    assert there.p_value == back.p_value
    assert compare(first, first).interval == (0.0, 0.0)


def test_disagreement_by_hand() -> None:
    labels = [-1] * 4
    members = [answering(answers, labels) for answers in ([0, 1, 2, 3], [0, 1, 2, 4], [6, 1, 3, 4])]
    assert disagreement(members).tolist() == [[0, 0.25, 0.75], [0.25, 0, 0.5], [0.75, 0.5, 0]]


def test_without_labels_there_is_nothing_to_compare() -> None:
    with pytest.raises(MienError, match="no emotion is known"):
        compare(answering([1], [-1]), answering([1], [-1]))
