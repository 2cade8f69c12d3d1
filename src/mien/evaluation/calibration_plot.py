"""The picture of a calibration: reliability before and after, and accuracy against coverage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.evaluation.metrics import CALIBRATION_BINS, confidence_bins, wilson_interval
from mien.evaluation.plots import FAINT, INK, TRAIN_COLOR, VALIDATION_COLOR, new_figure, save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mien.evaluation.calibration import Fit
    from mien.evaluation.coverage import CoverageCurve
    from mien.evaluation.predictions import Predictions

MARKED = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The thresholds of confidence that are written on the curve."""
FEWEST = 30
"""Images of a bin from which its accuracy is drawn; fewer say nothing."""


def calibration_picture(fit: Fit, path: Path | str, *, title: str) -> None:
    """Draw two reliability diagrams and the curve of accuracy against coverage as PNG.

    A reliability diagram shows the accuracy of the images in each bin of confidence, with its 95 %
    interval (Wilson), beside the diagonal on which confidence and accuracy are the same. Bars at
    the bottom show the share of the images.

    A. Niculescu-Mizil, R. Caruana, "Predicting good probabilities with supervised learning",
    ICML 2005.

    Args:
        fit: the images are those that the temperatures were not fitted to.
        path: the PNG to write, whole or not at all.
        title: what was calibrated.

    Raises:
        MienError: matplotlib is not installed.
    """
    before, after = fit.figures
    balance = f", rare emotions helped by {fit.balance:g}" if fit.balance else ""
    figure = new_figure(14.5, 5)
    figure.suptitle(
        f"{title}: {len(fit.before):,} images, temperature {fit.temperature:.3f}{balance}, "
        f"measured on folds that it was not fitted to",
        fontsize=12,
        color=INK,
    )
    first, second, third = figure.subplots(1, 3)
    _draw_reliability(first, fit.before)
    _finish(first, f"Before: calibration error {before['calibration_error']:.2%}")
    _draw_reliability(second, fit.after)
    _finish(second, f"After: calibration error {after['calibration_error']:.2%}")
    for axes in (first, second):
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="upper left", frameon=False, fontsize=9, labelcolor=INK)
    _draw_curve(third, fit.curve())
    _finish(third, "Answering only from a confidence on")
    third.set(xlabel="coverage: images answered (%)", ylabel="accuracy of those answered (%)")
    save_png(figure, Path(path))


def _draw_reliability(axes: Axes, predictions: Predictions) -> None:
    confidence = predictions.probabilities.max(axis=1).astype(np.float64)
    correct = predictions.probabilities.argmax(axis=1) == predictions.labels
    bins = confidence_bins(confidence, CALIBRATION_BINS)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    centers = (np.arange(CALIBRATION_BINS) + 0.5) / CALIBRATION_BINS
    axes.bar(
        centers,
        counts / counts.sum(),
        width=0.9 / CALIBRATION_BINS,
        color=FAINT,
        label="share of images",
    )
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (3, 3)), label="exact")
    rows = np.flatnonzero(counts >= FEWEST)
    right = np.bincount(bins, weights=correct, minlength=CALIBRATION_BINS)[rows]
    mean = np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS)[rows] / counts[rows]
    accuracy = right / counts[rows]
    ends = np.array(
        [wilson_interval(int(r), int(n)) for r, n in zip(right, counts[rows], strict=True)]
    ).reshape(-1, 2)
    bars = np.abs(ends.T - accuracy)
    axes.errorbar(
        mean,
        accuracy,
        yerr=bars,
        fmt="o",
        color=TRAIN_COLOR,
        ms=5,
        linewidth=1.2,
        label=f"bins of at least {FEWEST} images",
    )


def _draw_curve(axes: Axes, curve: CoverageCurve) -> None:
    # The first images say nothing of an accuracy.
    shown = curve.answered >= FEWEST
    axes.plot(100 * curve.coverage[shown], 100 * curve.accuracy[shown], color=VALIDATION_COLOR)
    for point in curve.table(MARKED):
        if point.accuracy is None or point.answered < FEWEST:
            continue
        place = (100 * point.coverage, 100 * point.accuracy)
        axes.plot(*place, "o", color=VALIDATION_COLOR, mec="white", mew=1.2, ms=7)
        axes.annotate(
            f"≥ {point.threshold:g}",
            place,
            xytext=(6, 6),
            textcoords="offset points",
            fontsize=9,
            color=INK,
        )
    axes.set_xlim(0, 102)


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
