"""The figures that say whether probabilities can be believed: losses and calibration errors.

All are over images whose emotion is known. *Confidence* is the highest probability of an image.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.evaluation.coverage import coverage_curve
from mien.evaluation.metrics import CALIBRATION_BINS, confidence_bins, log_loss

RESAMPLES = 1000

Labels = NDArray[np.int8]
Probabilities = NDArray[np.float32]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class ConfidenceFigures:
    """How far probabilities can be believed; less is better in all of them.

    Attributes:
        log_loss: mean of the negative logarithm (nats) of the true emotion's probability.
        brier: mean over the images of the squared distance between probabilities and truth, summed
            over the emotions: 0 to 2.
        calibration_error: expected calibration error, `CALIBRATION_BINS` bins of equal width.
        corrected_error: the same without the bias that few images give it; see `bootstrap_error`.
        error_interval: the two ends of the 95 % interval of `corrected_error`.
        error_if_calibrated: the calibration error that these confidences would show on average if
            they were exactly right; see `error_if_calibrated`.
        error_if_calibrated_range: between which 95 % of such errors would lie.
        adaptive_error: calibration error over bins with equally many images.
        classwise_error: mean over the emotions of the calibration error of each one's probability.
        risk_area: area under the curve of error against coverage.
    """

    log_loss: float
    brier: float
    calibration_error: float
    corrected_error: float
    error_interval: tuple[float, float]
    error_if_calibrated: float
    error_if_calibrated_range: tuple[float, float]
    adaptive_error: float
    classwise_error: float
    risk_area: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def confidence_figures(labels: Labels, probabilities: Probabilities) -> ConfidenceFigures:
    """Measure probabilities (N×7) against labels (N, 0 to 6, none unknown)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    bins = confidence_bins(confidence, CALIBRATION_BINS)
    corrected, interval = bootstrap_error(correct - confidence, bins)
    average, between = error_if_calibrated(confidence, bins)
    return ConfidenceFigures(
        log_loss=log_loss(labels, probabilities),
        brier=brier(labels, probabilities),
        calibration_error=_error(correct - confidence, bins),
        corrected_error=corrected,
        error_interval=interval,
        error_if_calibrated=average,
        error_if_calibrated_range=between,
        adaptive_error=adaptive_error(labels, probabilities),
        classwise_error=classwise_error(labels, probabilities),
        risk_area=coverage_curve(labels, probabilities).risk_area,
    )


def brier(labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean of Σ (probability − truth)² over the emotions.

    G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 78, 1950.
    """
    truth = np.eye(len(EMOTIONS))[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def adaptive_error(
    labels: Labels, probabilities: Probabilities, bins: int = CALIBRATION_BINS
) -> float:
    """Return the calibration error over bins of as many images each, in the order of confidence.

    K. Nguyen, B. O'Connor, "Posterior calibration and exploratory analysis for natural language
    processing models", EMNLP 2015.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    gaps = (correct - confidence)[np.argsort(confidence, kind="stable")]
    return float(sum(abs(part.sum()) for part in np.array_split(gaps, bins)) / len(labels))


def classwise_error(
    labels: Labels, probabilities: Probabilities, bins: int = CALIBRATION_BINS
) -> float:
    """Return the mean over the emotions of the calibration error of each one's probability.

    M. Kull and others, "Beyond temperature scaling: Obtaining well-calibrated multi-class
    probabilities with Dirichlet calibration", NeurIPS 2019, equation 4.
    """
    errors = []
    for emotion in range(len(EMOTIONS)):
        given = probabilities[:, emotion].astype(np.float64)
        errors.append(_error((labels == emotion) - given, confidence_bins(given, bins)))
    return float(np.mean(errors))


def bootstrap_error(
    gaps: Array, bins: NDArray[np.intp], *, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Return the calibration error without its bias, and its 95 % interval.

    A bin of few images is rarely right by chance, so the error of a sample is too high even for
    exact probabilities. The mean excess of `RESAMPLES` bootstrap samples over the sample itself
    estimates that bias and is taken off; the interval is the basic one, which does the same. All
    are at least 0.

    B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 10; A. Davison,
    D. Hinkley, "Bootstrap Methods and their Application", 1997, section 5.2. Of the bias:
    A. Kumar, P. Liang, T. Ma, "Verified Uncertainty Calibration", NeurIPS 2019.

    Args:
        gaps: of each image, 1 (right) or 0 (wrong) minus its confidence.
        bins: of each image, the bin of its confidence.
        seed: of the samples.
    """
    random = np.random.default_rng(seed)
    drawn = np.empty(RESAMPLES)
    for sample in range(RESAMPLES):
        chosen = random.integers(0, len(gaps), len(gaps))
        drawn[sample] = _error(gaps[chosen], bins[chosen])
    error = _error(gaps, bins)
    low, high = np.maximum(2 * error - np.quantile(drawn, [0.975, 0.025]), 0)
    return max(float(2 * error - drawn.mean()), 0.0), (float(low), float(high))


def error_if_calibrated(
    confidence: Array, bins: NDArray[np.intp], *, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Return the error of a sample if each confidence were the chance to be right.

    `RESAMPLES` samples draw which images are right with just these chances.

    J. Bröcker, L. A. Smith, "Increasing the reliability of reliability diagrams", Weather and
    Forecasting 22, 2007.

    Args:
        confidence: N, 0 to 1.
        bins: of each image, the bin of its confidence.
        seed: of the samples.

    Returns:
        The mean, and the ends of the range in which 95 % of the samples are.
    """
    random = np.random.default_rng(seed)
    drawn = np.empty(RESAMPLES)
    for sample in range(RESAMPLES):
        right = random.random(len(confidence)) < confidence
        drawn[sample] = _error(right - confidence, bins)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(drawn.mean()), (float(low), float(high))


def _error(gaps: Array, bins: NDArray[np.intp]) -> float:
    # |accuracy − confidence| · n of a bin is |sum of the gaps| over it.
    return float(np.abs(np.bincount(bins, weights=gaps)).sum() / len(gaps))
