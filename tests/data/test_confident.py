"""Confident learning on an example worked out by hand, and on labels made wrong on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from mien.data.confident import find_label_errors

# Three classes. Thresholds, the means of the own class's column among the images labeled so:
# class 0: (0.8 + 0.6 + 0.1) / 3 = 0.5; class 1: (0.9 + 0.3) / 2 = 0.6; class 2: 0.4.
LABELS = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],  # confidently 0
        [0.6, 0.0, 0.4],  # reaches 0.5 and 0.4: of both the more probable, 0
        [0.1, 0.7, 0.2],  # labeled 0, confidently 1
        [0.1, 0.9, 0.0],  # confidently 1
        [0.35, 0.3, 0.35],  # reaches nothing
        [0.5, 0.1, 0.4],  # labeled 2, reaches 0.5 and 0.4: 0
    ]
)


def test_an_example_worked_out_by_hand() -> None:
    found = find_label_errors(LABELS, PROBABILITIES)
    assert found.thresholds == pytest.approx([0.5, 0.6, 0.4])
    assert found.joint.tolist() == [[2, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert found.suspects.tolist() == [2, 5]
    assert found.suggested.tolist() == [1, 0]
    assert found.margins == pytest.approx([0.1 - 0.7, 0.4 - 0.5])
    # Of class 0 a third, of class 1 nothing, of class 2 all: (3 · 1/3 + 0 + 1) / 6.
    assert found.rate == pytest.approx(2 / 6)


def test_a_class_without_images_is_never_suggested() -> None:
    found = find_label_errors(np.array([0, 0]), np.array([[0.1, 0.9], [0.9, 0.1]]))
    assert np.isnan(found.thresholds[1])
    assert found.joint.tolist() == [[1, 0], [0, 0]]
    assert not len(found.suspects)


def test_wrong_labels_are_found() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 7, 2000)
    logits = random.normal(size=(2000, 7))
    logits[np.arange(2000), truth] += 6
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = random.random(2000) < 0.1
    labels = np.where(wrong, (truth + random.integers(1, 7, 2000)) % 7, truth)
    found = find_label_errors(labels, probabilities)
    hits = np.isin(found.suspects, np.flatnonzero(wrong))
    assert hits.mean() > 0.95
    assert hits.sum() > 0.9 * wrong.sum()
    assert (found.suggested[hits] == truth[found.suspects[hits]]).mean() > 0.95
    assert found.rate == pytest.approx(wrong.mean(), abs=0.02)
    assert (np.diff(found.margins) >= 0).all()
