"""The picture of a calibration: what is drawn where, and that it is a PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mien.evaluation import calibration_plot
from mien.evaluation.calibration import Fit, fit
from mien.evaluation.predictions import Predictions
from mien.evaluation.stacking import softmax


@pytest.fixture(scope="module")
def found() -> Fit:
    random = np.random.default_rng(0)
    logits = random.normal(size=(2000, 7)) * 3
    chances = softmax(logits / 2).cumsum(axis=1)
    labels = (random.random((2000, 1)) > chances).sum(axis=1).clip(0, 6).astype(np.int8)
    names = np.arange(2000).astype(np.str_)
    return fit(Predictions(names, labels, softmax(logits).astype(np.float32)))


def test_the_picture_shows_what_was_measured(
    found: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    save = calibration_plot.save_png

    def remember(figure: Figure, path: Path) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(calibration_plot, "save_png", remember)
    calibration_plot.calibration_picture(found, tmp_path / "c.png", title="a model, validation")
    before, after, curve = figures[0].axes
    error, mended = (each["calibration_error"] for each in found.figures)
    assert before.get_title(loc="left") == f"Before: calibration error {error:.2%}"
    assert after.get_title(loc="left") == f"After: calibration error {mended:.2%}"
    assert "a model, validation: 2,000 images" in figures[0].get_suptitle()
    # An overconfident model's points lie below the diagonal, and on it when it is calibrated.
    for axes, lowest, highest in ((before, 0.1, 0.4), (after, 0.0, 0.05)):
        points = axes.containers[1].lines[0]
        confidence, accuracy = np.asarray(points.get_xdata()), np.asarray(points.get_ydata())
        assert lowest <= np.mean(confidence - accuracy).clip(0) <= highest
    coverage, accuracy = (np.asarray(each) for each in curve.lines[0].get_data())
    assert coverage[-1] == 100
    right = found.before.probabilities.argmax(axis=1) == found.before.labels
    assert accuracy[-1] == pytest.approx(100 * right.mean())
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1500
