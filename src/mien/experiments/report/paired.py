"""What one way to train gains over another, seed by seed and image by image, with 95 % intervals.

Both were trained with the same seeds and so on the same images, from the same weights, in the same
order; and the same images measure both. What varies is which images measure, which their variance
tells, and what a seed makes of the difference, which two or three seeds do not tell. That is
estimated from all ablations together, which are taken to vary alike, and the interval is
Student's with the degrees of freedom of that estimate. It is a little too wide, since an image's
luck with one seed counts in both.

D. Montgomery, "Design and Analysis of Experiments", 8th edition, 2012, section 3.5 (a variance
that several comparisons share).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mien.experiments.report.ablation_figures import Gain

CONFIDENCE = 0.95
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Answers of two trainings to the same images, for each of K seeds.

    Attributes:
        labels: int8, N; 0 to 6.
        ours, theirs: K×N, which images are right.
        counted: K×N, which images measure; the others may have been trained on.
    """

    labels: NDArray[np.int8]
    ours: Mask
    theirs: Mask
    counted: Mask


@dataclass(frozen=True)
class Measured:
    """A gain before its interval.

    Attributes:
        seeds: the gain with each seed.
        variance: of their mean, as far as the choice of images goes.
    """

    seeds: tuple[float, ...]
    variance: float


def measure(pairs: Pairs, *, balanced: bool) -> Measured:
    """Return the gain in accuracy, or in balanced accuracy (the mean recall)."""
    labels = pairs.labels if balanced else np.zeros_like(pairs.labels)
    weights = np.zeros(pairs.counted.shape)
    strata = [labels == label for label in np.unique(labels)]
    for stratum in strata:
        own = pairs.counted & stratum
        weights += own / np.maximum(own.sum(axis=1, keepdims=True), 1) / len(strata)
    gains = weights * (pairs.ours.astype(float) - pairs.theirs)
    images = gains.mean(axis=0)
    measuring = pairs.counted.any(axis=0)
    variance = sum(
        float(np.var(images[mask], ddof=1)) * mask.sum()
        for stratum in strata
        if (mask := stratum & measuring).sum() > 1
    )
    return Measured(tuple(gains.sum(axis=1).tolist()), variance)


def gains(measured: Sequence[Measured]) -> list[Gain]:
    """Return the gains with their intervals; the seeds' variance is that of all of them together.

    Where none has two seeds there are no intervals: their ends are NaN.
    """
    freedom = sum(len(each.seeds) - 1 for each in measured)
    squares = sum(float(np.var(each.seeds)) * len(each.seeds) for each in measured)
    spread = squares / freedom if freedom else np.nan
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) if freedom else np.nan
    found = []
    for each in measured:
        value = float(np.mean(each.seeds))
        half = float(reach * np.sqrt(each.variance + spread / len(each.seeds)))
        found.append(Gain(value, value - half, value + half, len(each.seeds)))
    return found
