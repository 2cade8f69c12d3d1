"""Whether two models differ: disagreement, the gain with its interval, and McNemar's test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.evaluation.align import align
from mien.evaluation.predictions import Predictions

RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """How one model does against another on the same labeled images.

    Attributes:
        gain: accuracy of the first minus that of the second, -1 to 1.
        interval: the two ends of the gain's 95 % interval.
        only_first: images that the first alone gets right.
        only_second: images that the second alone gets right.
        p_value: of McNemar's exact test, two-sided.
    """

    gain: float
    interval: tuple[float, float]
    only_first: int
    only_second: int
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


def compare(first: Predictions, second: Predictions) -> Comparison:
    """Compare two models image by image; images without a label are left out.

    Raises:
        MienError: the two are not of the same images, or none has a label.
    """
    first, second = align([first, second])
    known = first.labeled
    count = int(known.sum())
    if count == 0:
        raise MienError(
            "no emotion is known for any of these images, so models cannot be compared",
            hint="give a split with labels",
        )
    right, other = (
        each.probabilities[known].argmax(axis=1) == each.labels[known] for each in (first, second)
    )
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    return Comparison(
        gain=(only_first - only_second) / count,
        interval=bootstrap_interval(only_first, only_second, count),
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar(only_first, only_second),
    )


def bootstrap_interval(
    only_first: int, only_second: int, count: int, *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return the paired percentile bootstrap's interval of a difference of accuracies.

    Each of `RESAMPLES` samples draws `count` images with replacement and takes both models'
    answers to them. Only how many of the images one model alone gets right matters, and these
    counts of a sample follow a multinomial distribution, from which they are drawn at once.

    B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    shares = np.array([only_first, only_second, count - only_first - only_second]) / count
    drawn = np.random.default_rng(seed).multinomial(count, shares, size=RESAMPLES)
    gains = (drawn[:, 0] - drawn[:, 1]) / count
    low, high = np.quantile(gains, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p value of McNemar's exact test, two-sided.

    If the models were equally good, each image that only one gets right would be as likely the
    first's as the second's: the probability, doubled, of a split as uneven as this or more.

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 1947; exact as the sign test.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    ways = tail = 1  # "total choose 0", and the sum up to here
    for chosen in range(fewer):
        ways = ways * (total - chosen) // (chosen + 1)
        tail += ways
    p_value: float = 2 * tail / 2**total
    return min(1.0, p_value)


def disagreement(members: Sequence[Predictions]) -> NDArray[np.float64]:
    """Return the share of images to which two models give different emotions: M×M, 0 to 1.

    Labels do not matter.

    Raises:
        MienError: the members are not of the same images.
    """
    answers = np.stack([each.probabilities.argmax(axis=1) for each in align(members)])
    return np.array([(answers != each).mean(axis=1) for each in answers])
