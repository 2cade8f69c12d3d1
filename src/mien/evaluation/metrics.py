"""The figures that say how good predictions are, in NumPy alone.

Where a class is absent they follow scikit-learn's defaults (`zero_division=0`):

- precision is 0 for a class that is never predicted, recall for one that never occurs, F1 where
  both;
- macro F1 is the mean over the classes that occur or are predicted;
- balanced accuracy is the mean recall over the classes that occur.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.predictions import Predictions

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class ClassMetrics:
    """The figures of one emotion; all but `support` (the images of it) are 0 to 1."""

    emotion: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, eq=False)
class Metrics:
    """The figures of one predictions file.

    Attributes:
        count: images whose emotion is known; all figures are over them alone.
        unlabeled: images whose emotion is not known.
        accuracy: 0 to 1.
        accuracy_interval: the two ends of its 95 % interval.
        balanced_accuracy: mean recall, 0 to 1.
        macro_f1: mean F1, 0 to 1.
        log_loss: mean of the negative logarithm (nats) of the true emotion's probability.
        calibration_error: expected calibration error, 0 to 1.
        classes: the seven emotions' figures, in the order of `EMOTIONS`.
        confusion: int64, 7×7; row: true emotion, column: predicted.
    """

    count: int
    unlabeled: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    log_loss: float
    calibration_error: float
    classes: tuple[ClassMetrics, ...]
    confusion: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        values = asdict(self)
        values["accuracy_interval"] = list(self.accuracy_interval)
        values["classes"] = {each.pop("emotion"): each for each in values["classes"]}
        values["confusion"] = self.confusion.tolist()
        return values


def evaluate(predictions: Predictions) -> Metrics:
    """Compare predictions with the labels; rows without one are left out and counted.

    Raises:
        MienError: no row has a label.
    """
    known = predictions.labeled
    count = int(known.sum())
    if count == 0:
        raise MienError(
            "no emotion is known for any of these images, so nothing can be measured",
            hint="give a split with labels",
        )
    labels = predictions.labels[known]
    probabilities = predictions.probabilities[known]
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1))
    correct = int(np.trace(confusion))
    classes = _class_metrics(confusion)
    occurs = confusion.sum(axis=1) > 0
    concerned = occurs | (confusion.sum(axis=0) > 0)
    return Metrics(
        count=count,
        unlabeled=len(predictions) - count,
        accuracy=correct / count,
        accuracy_interval=wilson_interval(correct, count),
        balanced_accuracy=float(np.mean([each.recall for each in classes], where=occurs)),
        macro_f1=float(np.mean([each.f1 for each in classes], where=concerned)),
        log_loss=log_loss(labels, probabilities),
        calibration_error=calibration_error(labels, probabilities),
        classes=classes,
        confusion=confusion,
    )


def confusion_matrix(
    labels: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]]
) -> NDArray[np.int64]:
    """Count the pairs of true (row) and predicted (column) emotion: int64, 7×7."""
    classes = len(EMOTIONS)
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def wilson_interval(correct: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal
    of the American Statistical Association 22, 1927. Unlike `p ± z·√(p(1 − p)/n)` it stays within
    0 to 1 and holds for few images.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / count
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return max(center - half, 0.0), min(center + half, 1.0)


def log_loss(labels: NDArray[np.int8], probabilities: NDArray[np.float32]) -> float:
    """Return the mean of `-log` of the probability that was given to the true emotion (nats).

    Probabilities are kept 1.2e-7 (the resolution of float32) away from 0 and 1, as scikit-learn
    does, so that one certain error does not make the figure infinite.
    """
    resolution = float(np.finfo(np.float32).eps)
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(given, resolution, 1 - resolution)).mean())


def calibration_error(
    labels: NDArray[np.int8], probabilities: NDArray[np.float32], bins: int = CALIBRATION_BINS
) -> float:
    """Return the expected calibration error: how far confidence and accuracy are apart, 0 to 1.

    Images are sorted into bins of equal width by their confidence, the highest probability; bin
    m of M holds the confidences in ((m − 1)/M, m/M]. The result is the mean over the bins of
    |accuracy − mean confidence|, weighted with the number of images.

    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
    ICML 2017, equation 3.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    # |accuracy − confidence| · n of a bin is |sum of (correct − confidence)| over it.
    gaps = np.bincount(confidence_bins(confidence, bins), weights=correct - confidence)
    return float(np.abs(gaps).sum() / len(labels))


def confidence_bins(confidence: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    """Return the bin of each confidence, 0 to bins - 1; bin m of M holds (m/M, (m + 1)/M]."""
    return np.searchsorted(np.arange(1, bins) / bins, confidence, side="left")


def _class_metrics(confusion: NDArray[np.int64]) -> tuple[ClassMetrics, ...]:
    classes = []
    for index, emotion in enumerate(EMOTIONS):
        hits = int(confusion[index, index])
        support = int(confusion[index].sum())
        predicted = int(confusion[:, index].sum())
        classes.append(
            ClassMetrics(
                emotion=emotion,
                precision=hits / predicted if predicted else 0.0,
                recall=hits / support if support else 0.0,
                f1=2 * hits / (support + predicted) if support + predicted else 0.0,
                support=support,
            )
        )
    return tuple(classes)
