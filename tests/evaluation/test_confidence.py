"""Losses and calibration errors against plain loops, scikit-learn, and errors that are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from mien.evaluation.confidence import (
    adaptive_error,
    bootstrap_error,
    brier,
    classwise_error,
    confidence_figures,
    error_if_calibrated,
)
from mien.evaluation.metrics import calibration_error, confidence_bins
from mien.evaluation.stacking import softmax


def case(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probabilities = softmax(random.normal(size=(count, 7)) * 2).astype(np.float32)
    return random.integers(0, 7, count).astype(np.int8), probabilities


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 200), st.integers(0, 1000))
def test_brier_score_equals_scikit_learns(count: int, seed: int) -> None:
    labels, probabilities = case(count, seed)
    expected = brier_score_loss(labels, probabilities, labels=range(7), scale_by_half=False)
    assert brier(labels, probabilities) == pytest.approx(expected, rel=1e-5)


def test_adaptive_error_of_four_images_by_hand() -> None:
    # In the order of confidence: 0.5 wrong and 0.6 right; 0.8 wrong and 0.9 right.
    rows = np.zeros((4, 7), np.float32)
    rows[:, 0] = (0.9, 0.5, 0.6, 0.8)
    rows[:, 1] = 1 - rows[:, 0]
    labels = np.array([0, 1, 0, 1], np.int8)
    expected = (abs(-0.5 + 0.4) + abs(-0.8 + 0.1)) / 4
    assert adaptive_error(labels, rows, bins=2) == pytest.approx(expected)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 100), st.integers(0, 1000))
def test_classwise_error_equals_a_plain_loop(count: int, seed: int) -> None:
    labels, probabilities = case(count, seed)
    total = 0.0
    for emotion in range(7):
        for m in range(15):
            gap = 0.0
            for label, row in zip(labels, probabilities, strict=True):
                if m / 15 < float(row[emotion]) <= (m + 1) / 15:
                    gap += (label == emotion) - float(row[emotion])
            total += abs(gap) / count
    assert classwise_error(labels, probabilities) == pytest.approx(total / 7, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("excess", [0.0, 0.15])
def test_the_corrected_error_is_nearer_to_the_true_one(excess: float) -> None:
    plain, corrected, inside = [], [], 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        confidence = random.uniform(0.3, 1.0, 1000)
        gaps = (random.random(1000) < confidence - excess) - confidence
        bins = confidence_bins(confidence, 15)
        error, (low, high) = bootstrap_error(gaps, bins)
        plain.append(np.abs(np.bincount(bins, weights=gaps)).sum() / 1000)
        corrected.append(error)
        inside += low <= excess <= high
    assert abs(np.mean(corrected) - excess) <= abs(np.mean(plain) - excess)
    assert np.mean(corrected) < np.mean(plain)
    if excess:
        assert np.mean(corrected) == pytest.approx(excess, abs=0.01)
        assert inside >= 17


def test_exact_probabilities_show_the_error_that_is_expected_of_them() -> None:
    random = np.random.default_rng(1)
    confidence = random.uniform(0.3, 1.0, 2000)
    bins = confidence_bins(confidence, 15)
    expected, (low, high) = error_if_calibrated(confidence, bins)
    shown = [
        np.abs(np.bincount(bins, weights=(random.random(2000) < confidence) - confidence)).sum()
        / 2000
        for _ in range(200)
    ]
    assert np.mean(shown) == pytest.approx(expected, rel=0.05)
    assert np.mean([low <= each <= high for each in shown]) == pytest.approx(0.95, abs=0.05)


def test_all_figures_are_plain_json_and_the_same_again() -> None:
    labels, probabilities = case(300, 0)
    figures = confidence_figures(labels, probabilities)
    assert figures == confidence_figures(labels, probabilities)
    assert figures.calibration_error == calibration_error(labels, probabilities)
    values = json.loads(json.dumps(figures.to_dict()))
    assert values["error_interval"] == list(figures.error_interval)
