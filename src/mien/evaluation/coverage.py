"""Accuracy against coverage: what it brings to answer only where the confidence is high enough.

*Coverage* is the share of images that are answered. R. El-Yaniv, Y. Wiener, "On the foundations of
noise-free selective classification", JMLR 11, 2010; with the softmax response (the highest
probability) as confidence: Y. Geifman, R. El-Yaniv, "Selective classification for deep neural
networks", NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.evaluation.metrics import wilson_interval

THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""What a table of the curve shows."""


@dataclass(frozen=True)
class Point:
    """What a threshold of confidence does.

    Attributes:
        threshold: images of this confidence or a higher one are answered, 0 to 1.
        answered: how many they are.
        coverage: their share, 0 to 1.
        accuracy: of those answered, 0 to 1; None where there are none.
        interval: its 95 % interval (Wilson); None likewise.
        left_accuracy: the accuracy that those left out would have had; None where there are none.
    """

    threshold: float
    answered: int
    coverage: float
    accuracy: float | None
    interval: tuple[float, float] | None
    left_accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the point as plain JSON values."""
        values = asdict(self)
        return {**values, "interval": None if self.interval is None else list(self.interval)}


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """Accuracy and coverage at every threshold that makes a difference.

    Attributes:
        confidences: float64, K; the different confidences, highest first.
        answered: int64, K; images with at least that confidence; the last is all of them.
        correct: int64, K; those of them that are right.
    """

    confidences: NDArray[np.float64]
    answered: NDArray[np.int64]
    correct: NDArray[np.int64]

    @property
    def coverage(self) -> NDArray[np.float64]:
        """Return the share of images answered, K, rising to 1."""
        return np.asarray(self.answered / self.answered[-1])

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Return the accuracy of the images answered, K."""
        return np.asarray(self.correct / self.answered)

    @property
    def risk_area(self) -> float:
        """Return the mean error over all coverages, the area under the risk-coverage curve.

        Images of the same confidence count as answered together.

        Y. Geifman, G. Uziel, R. El-Yaniv, "Bias-reduced uncertainty estimation for deep neural
        classifiers", ICLR 2019.
        """
        images = np.diff(self.answered, prepend=0)
        return float(((1 - self.accuracy) * images).sum() / self.answered[-1])

    def at(self, threshold: float) -> Point:
        """Return what a threshold does."""
        place = int(np.searchsorted(-self.confidences, -threshold, side="right")) - 1
        total, right = int(self.answered[-1]), int(self.correct[-1])
        answered = int(self.answered[place]) if place >= 0 else 0
        correct = int(self.correct[place]) if place >= 0 else 0
        return Point(
            threshold=threshold,
            answered=answered,
            coverage=answered / total,
            accuracy=correct / answered if answered else None,
            interval=wilson_interval(correct, answered) if answered else None,
            left_accuracy=(right - correct) / (total - answered) if answered < total else None,
        )

    def table(self, thresholds: Sequence[float] = THRESHOLDS) -> list[Point]:
        """Return what each of the thresholds does."""
        return [self.at(threshold) for threshold in thresholds]

    def reaching(self, accuracy: float) -> Point:
        """Return the threshold that answers most images with at least the accuracy wanted.

        It is chosen on the very images that it is measured on; with thousands of them and one
        number chosen, what this flatters is little beside the interval.

        Args:
            accuracy: 0 to 1.

        Raises:
            MienError: even the surest images are not that accurate.
        """
        enough = np.flatnonzero(self.accuracy >= accuracy)
        if not len(enough):
            raise MienError(
                f"no threshold reaches an accuracy of {accuracy:.1%}; the best is "
                f"{self.accuracy.max():.1%}",
                hint="ask for less",
            )
        place = int(enough[-1])
        everything = place == len(self.confidences) - 1
        return self.at(0.0 if everything else float(self.confidences[place]))


def coverage_curve(
    labels: NDArray[np.int8], probabilities: NDArray[np.floating[Any]]
) -> CoverageCurve:
    """Return the curve of probabilities (N×7) with labels (N, 0 to 6, none unknown), N at least 1.

    Images of the same confidence are one point of it.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    last = np.flatnonzero(np.append(np.diff(sorted_confidence) != 0, True))
    return CoverageCurve(
        confidences=sorted_confidence[last],
        answered=(last + 1).astype(np.int64),
        correct=np.cumsum(correct[order])[last].astype(np.int64),
    )
