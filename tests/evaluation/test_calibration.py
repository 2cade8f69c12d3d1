"""Temperatures against scikit-learn's and a grid, folds that stay apart, and the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from mien.errors import MienError
from mien.evaluation.calibration import Calibration, best_temperature, fit, scaled
from mien.evaluation.predictions import Predictions
from mien.evaluation.stacking import softmax, stratified_folds
from mien.files import sha256


def drawn(count: int, temperature: float, seed: int = 0) -> Predictions:
    """Predictions whose labels are drawn from themselves, divided by a temperature."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 7)) * 2
    chances = softmax(logits / temperature).cumsum(axis=1)
    labels = (random.random((count, 1)) > chances).sum(axis=1).clip(0, 6).astype(np.int8)
    names = np.array([f"{i}.png" for i in range(count)])
    info = {"split": "validation", "data": "d", "model": "m", "model_sha256": "w", "tta": "none"}
    return Predictions(names, labels, softmax(logits).astype(np.float32), info)


class Given(ClassifierMixin, BaseEstimator):
    """What is given to it are its probabilities."""

    def fit(self, features: Any, labels: Any) -> Given:
        self.classes_ = np.arange(7)
        return self

    def predict_proba(self, features: Any) -> Any:
        return features

    def predict(self, features: Any) -> Any:
        return features.argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_that_of_scikit_learn_and_of_the_labels(temperature: float) -> None:
    case = drawn(4000, temperature)
    found = best_temperature(case.labels, case.probabilities)
    estimator = FrozenEstimator(Given().fit(None, None))
    reference = CalibratedClassifierCV(estimator, method="temperature")
    reference.fit(case.probabilities, case.labels)
    np.testing.assert_allclose(
        scaled(case.probabilities, found), reference.predict_proba(case.probabilities), atol=2e-3
    )
    assert found == pytest.approx(temperature, rel=0.08)


def test_no_temperature_on_a_grid_has_less_loss() -> None:
    case = drawn(500, 1.7)
    rows = np.arange(len(case))

    def loss(temperature: float) -> float:
        return float(-np.log(scaled(case.probabilities, temperature)[rows, case.labels]).mean())

    least = loss(best_temperature(case.labels, case.probabilities))
    assert least <= min(loss(each) for each in np.linspace(0.5, 5, 200))


logits_of_any_network = st_np.arrays(np.float64, (5, 7), elements=st.floats(-6, 6, width=32))


@settings(deadline=None)
@given(logits_of_any_network, st.floats(0.1, 10))
def test_scaling_probabilities_is_scaling_logits(logits: np.ndarray, temperature: float) -> None:
    found = scaled(softmax(logits), temperature)
    # A row's probabilities may be below what a logarithm is taken of by a factor of at most 3.
    np.testing.assert_allclose(found, softmax(logits / temperature), atol=1e-5)


@settings(deadline=None)
@given(logits_of_any_network, st.floats(0.1, 10))
def test_no_temperature_changes_which_emotion_is_first(
    logits: np.ndarray, temperature: float
) -> None:
    probabilities = softmax(logits)
    rows = np.arange(5)
    first = scaled(probabilities, temperature)[rows, probabilities.argmax(axis=1)]
    assert (first >= scaled(probabilities, temperature).max(axis=1) - 1e-12).all()


def test_a_probability_of_zero_stays_finite() -> None:
    found = scaled(np.eye(7)[:2], 2.0)
    assert np.isfinite(found).all()
    assert found[0, 0] == pytest.approx(1, abs=3e-3)


def test_each_fold_is_calibrated_by_the_others() -> None:
    case = drawn(600, 2.0)
    found = fit(case)
    folds = stratified_folds(case.labels, 5)
    for fold, temperature in enumerate(found.temperatures):
        inside = folds != fold
        assert temperature == best_temperature(case.labels[inside], case.probabilities[inside])
        np.testing.assert_array_equal(
            found.after.probabilities[~inside],
            scaled(case.probabilities[~inside], temperature).astype(np.float32),
        )
    assert len(set(found.temperatures)) == 5


def test_calibrating_mends_what_is_measured() -> None:
    before, after = fit(drawn(3000, 2.0, seed=1)).figures
    assert after["log_loss"] < before["log_loss"] - 0.1
    assert after["brier"] < before["brier"]
    assert before["calibration_error"] > 3 * before["error_if_calibrated_range"][1]
    assert after["calibration_error"] <= after["error_if_calibrated_range"][1]
    assert after["corrected_error"] < after["calibration_error"]


def test_rare_emotions_are_helped_by_the_logarithm_of_their_share() -> None:
    case = drawn(3000, 1.5, seed=2)
    often = np.flatnonzero((case.labels != 1) | (np.arange(3000) % 8 == 0))
    case = replace(
        case, **{key: getattr(case, key)[often] for key in ("names", "labels", "probabilities")}
    )
    # What learned from such images has learned how rare they are.
    known = case.probabilities * np.where(np.arange(7) == 1, 1 / 8, 1)
    known /= known.sum(axis=1, keepdims=True)
    case = replace(case, probabilities=known.astype(np.float32))
    found = fit(case, balance=0.5)
    shares = np.bincount(case.labels, minlength=7) / len(case)
    np.testing.assert_allclose(found.offsets, -0.5 * np.log(shares))
    logits = np.log(case.probabilities.astype(np.float64)) - 0.5 * np.log(shares)
    calibration = found.calibration()
    np.testing.assert_allclose(
        calibration.apply(case.probabilities), softmax(logits / found.temperature), rtol=1e-4
    )
    said, before = (
        np.bincount(each.probabilities.argmax(axis=1), minlength=7)
        for each in (found.after, found.before)
    )
    assert said[1] > 1.3 * before[1]
    assert calibration.fitted["balance"] == 0.5
    figures = found.figures
    assert figures[1]["balanced_accuracy"] > figures[0]["balanced_accuracy"]


def test_images_without_a_label_are_left_out() -> None:
    case = drawn(600, 2.0)
    labels = case.labels.copy()
    labels[300:] = -1
    found = fit(replace(case, labels=labels))
    assert len(found.before) == len(found.after) == 300
    assert found.temperature == best_temperature(case.labels[:300], case.probabilities[:300])


def test_few_labels_are_refused() -> None:
    with pytest.raises(MienError, match="99 of these images have one; it needs 100"):
        fit(drawn(99, 1.0))


@pytest.mark.parametrize(
    ("shift", "complaint"), [(0, "right without fail"), (1, "no better than chance")]
)
def test_predictions_that_no_temperature_fits_are_refused(shift: int, complaint: str) -> None:
    case = drawn(300, 1.0)
    labels = ((case.probabilities.argmax(axis=1) + shift) % 7).astype(np.int8)
    with pytest.raises(MienError, match=complaint):
        fit(replace(case, labels=labels))


def test_the_file_says_what_was_fitted_and_measured(tmp_path: Path) -> None:
    found = fit(drawn(600, 2.0))
    found.calibration().save(tmp_path / "calibration.json")
    loaded = Calibration.load(tmp_path / "calibration.json")
    assert loaded.temperature == found.temperature
    assert loaded.fitted == {
        "model": "m",
        "model_sha256": "w",
        "data": "d",
        "split": "validation",
        "tta": "none",
        "images": 600,
        "balance": 0.0,
    }
    assert loaded.offsets == (0,) * 7
    assert loaded.measured["temperatures"] == list(found.temperatures)
    after = found.figures[1]
    assert loaded.measured["after"] == after
    assert loaded.measured["coverage"][0]["coverage"] == 1
    probabilities = found.before.probabilities
    assert loaded.apply(probabilities).dtype == np.float32
    np.testing.assert_allclose(
        loaded.apply(probabilities), scaled(probabilities, found.temperature), rtol=1e-6
    )


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": "2", "temperature": 1, "fitted": {}, "measured": {}}',
        '{"format": "1", "temperature": 0, "fitted": {}, "measured": {}}',
        '{"format": "1", "temperature": NaN, "fitted": {}, "measured": {}}',
        '{"format": "1", "temperature": "hot", "fitted": {}, "measured": {}}',
        '{"format": "1", "temperature": 1, "fitted": 3, "measured": {}}',
        '{"format": "1", "temperature": 1, "fitted": {}, "measured": {}, "offsets": [1, 2]}',
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(content)
    with pytest.raises(MienError, match="holds no calibration") as raised:
        Calibration.load(file)
    assert str(file) in raised.value.message


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="there is no calibration"):
        Calibration.load(tmp_path / "calibration.json")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({}, None),
        ({"model_sha256": "0" * 64}, "other weights"),
        ({"model_sha256": None}, "does not say to which weights"),
        ({"tta": "ten-crop"}, "test-time augmentation ten-crop"),
    ],
)
def test_a_calibration_of_other_weights_is_refused(
    tmp_path: Path, changes: dict[str, Any], complaint: str | None
) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    fitted = {"model_sha256": sha256(weights), "tta": "none", **changes}
    calibration = Calibration(1.5, fitted, {})
    if complaint is None:
        calibration.check(weights, tmp_path / "calibration.json")
        return
    with pytest.raises(MienError, match=complaint) as raised:
        calibration.check(weights, tmp_path / "calibration.json")
    assert "mien calibrate" in str(raised.value.hint)
    assert json.dumps(calibration.to_dict())
