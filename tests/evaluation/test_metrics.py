"""The figures of evaluation against scikit-learn, SciPy, a plain loop and sums done by hand."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from scipy.stats import binomtest
from sklearn import metrics as reference

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.metrics import (
    calibration_error,
    confusion_matrix,
    evaluate,
    wilson_interval,
)
from mien.evaluation.predictions import Predictions

CLASSES = list(range(7))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def predictions(labels: np.ndarray, probabilities: np.ndarray) -> Predictions:
    names = np.array([f"{i}.png" for i in range(len(labels))])
    return Predictions(names, labels.astype(np.int8), probabilities.astype(np.float32))


@st.composite
def cases(draw: st.DrawFn) -> Predictions:
    """Up to 40 images, few or all of the classes, ties, certain errors, unknown labels."""
    count = draw(st.integers(1, 40))
    classes = draw(st.sets(st.integers(0, 6), min_size=1).map(sorted))
    labels = draw(st_np.arrays(np.int8, count, elements=st.sampled_from([-1, *classes])))
    labels[0] = classes[0]
    logits = draw(st_np.arrays(np.float64, (count, 7), elements=st.integers(-4, 4)))
    return predictions(labels, softmax(logits * draw(st.sampled_from([0.5, 1.0, 12.0]))))


@settings(deadline=None)
@given(cases())
def test_figures_equal_scikit_learns(case: Predictions) -> None:
    known = case.labels >= 0
    labels, probabilities = case.labels[known], case.probabilities[known]
    predicted = probabilities.argmax(axis=1)
    ours = evaluate(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        macro_f1 = reference.f1_score(labels, predicted, average="macro", zero_division=0)
        balanced = reference.balanced_accuracy_score(labels, predicted)
        loss = reference.log_loss(labels, probabilities, labels=CLASSES)
    by_class = reference.precision_recall_fscore_support(
        labels, predicted, labels=CLASSES, zero_division=0
    )

    assert (ours.count, ours.unlabeled) == (known.sum(), (~known).sum())
    assert ours.accuracy == pytest.approx(reference.accuracy_score(labels, predicted))
    assert ours.macro_f1 == pytest.approx(macro_f1)
    assert ours.balanced_accuracy == pytest.approx(balanced)
    assert ours.log_loss == pytest.approx(loss, rel=1e-5, abs=1e-6)
    assert (
        ours.confusion.tolist()
        == reference.confusion_matrix(labels, predicted, labels=CLASSES).tolist()
    )
    columns = [
        [getattr(each, figure) for each in ours.classes]
        for figure in ("precision", "recall", "f1", "support")
    ]
    np.testing.assert_allclose(columns, np.array(by_class, dtype=np.float64))


@settings(deadline=None)
@given(cases())
def test_calibration_error_equals_a_plain_loop(case: Predictions) -> None:
    known = case.labels >= 0
    labels, probabilities = case.labels[known], case.probabilities[known]
    expected = 0.0
    for m in range(15):
        inside = []
        for label, row in zip(labels, probabilities, strict=True):
            confidence = float(row.max())
            if m / 15 < confidence <= (m + 1) / 15 or (m == 14 and confidence > 1):
                inside.append((confidence, int(row.argmax()) == label))
        if inside:
            confidence = sum(each for each, _ in inside) / len(inside)
            accuracy = sum(right for _, right in inside) / len(inside)
            expected += len(inside) / len(labels) * abs(accuracy - confidence)
    assert calibration_error(labels, probabilities) == pytest.approx(expected)


def test_calibration_error_of_four_images_by_hand() -> None:
    # Confidences 0.9 (right) and 0.9 (wrong) share a bin, 0.62 (right) and 0.5 (wrong) do not:
    # (2·|0.5 − 0.9| + |1 − 0.62| + |0 − 0.5|) / 4.
    rows = np.zeros((4, 7), np.float32)
    rows[:, 0] = (0.9, 0.9, 0.62, 0.5)
    rows[:, 1] = 1 - rows[:, 0]
    rows[3, 1:3] = 0.25
    labels = np.array([0, 1, 0, 6], np.int8)
    assert calibration_error(labels, rows) == pytest.approx((0.8 + 0.38 + 0.5) / 4)


def test_an_edge_belongs_to_the_bin_below_it() -> None:
    # 0.5 is the edge of the first of two bins; were it in the second, both errors would cancel.
    rows = np.zeros((2, 7), np.float32)
    rows[0, :2] = (0.5, 0.5)
    rows[1, :2] = (0.75, 0.25)
    labels = np.array([0, 1], np.int8)  # argmax of a tie is the first, so: right, wrong
    assert calibration_error(labels, rows, bins=2) == pytest.approx((0.5 + 0.75) / 2)


@settings(deadline=None)
@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_equals_scipys(case: tuple[int, int]) -> None:
    correct, count = case
    expected = binomtest(correct, count).proportion_ci(method="wilson")
    assert wilson_interval(correct, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_interval_of_eight_in_ten() -> None:
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=5e-5)


def test_confusion_has_true_emotions_as_rows() -> None:
    matrix = confusion_matrix(np.array([0, 0, 3]), np.array([1, 0, 3]))
    assert matrix.sum() == 3
    assert (matrix[0, 1], matrix[0, 0], matrix[3, 3], matrix[1, 0]) == (1, 1, 1, 0)


def test_to_dict_is_json() -> None:
    case = predictions(np.array([0, 1, -1]), np.eye(7)[[0, 3, 5]])
    values: dict[str, Any] = json.loads(json.dumps(evaluate(case).to_dict()))
    assert values["count"] == 2
    assert values["unlabeled"] == 1
    assert values["accuracy"] == 0.5
    assert values["accuracy_interval"][0] < 0.5 < values["accuracy_interval"][1]
    assert list(values["classes"]) == list(EMOTIONS)
    assert values["classes"]["angry"] == {"precision": 1, "recall": 1, "f1": 1, "support": 1}
    assert values["confusion"][1][3] == 1


def test_without_any_label_nothing_is_measured() -> None:
    with pytest.raises(MienError, match="no emotion is known"):
        evaluate(predictions(np.array([-1, -1]), np.eye(7)[:2]))
