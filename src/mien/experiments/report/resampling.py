"""95 % intervals that know of both: which images were measured on, and which seeds were trained.

A two-level bootstrap. Each of `RESAMPLES` samples draws the images with replacement, the same ones
for all models, so that comparisons are paired; and, of each model on its own, as many of its seeds
with replacement as there are. A bootstrap over k seeds has only (k − 1)/k of the variance between
them, which is much missing for two or three seeds; so the drawn mean's distance from the mean over
all seeds is widened by √(k/(k − 1)). With one seed the interval knows of the images alone.
A share's interval is not narrower than Wilson's, and a difference that is the same in all samples
has none.

B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.evaluation.metrics import wilson_interval
from mien.experiments.report.figures import Estimate

RESAMPLES = 2000
_BLOCK = 100  # samples at a time: as int64, all counts of FER2013's training split are 0.5 GB
_SEED = 0

Draws = NDArray[np.float64]
Correct = NDArray[np.bool_]


class Resampler:
    """Samples of the labeled images of one split.

    Args:
        labels: N; 0 to 6.
    """

    def __init__(self, labels: NDArray[np.int8]) -> None:
        self.labels = labels
        random = np.random.default_rng(_SEED)
        count = len(labels)
        # How often each sample has each image: RESAMPLES×N. None is drawn nearly 256 times.
        self._times = np.empty((RESAMPLES, count), np.uint8)
        shares = np.full(count, 1 / count)
        for block in _blocks():
            self._times[block] = random.multinomial(count, shares, len(self._times[block]))

    def draws(self, key: str, correct: Correct, emotion: int | None = None) -> Draws:
        """Return a model's accuracy, or an emotion's recall, in each sample.

        Args:
            key: names the model; the same key draws the same seeds.
            correct: seeds×N, which images are right.
            emotion: look at the images of this emotion alone.
        """
        images = slice(None) if emotion is None else np.flatnonzero(self.labels == emotion)
        right = correct[:, images].T.astype(np.float32)
        shares = np.empty((RESAMPLES, len(correct)), np.float32)
        with np.errstate(invalid="ignore"):  # an emotion that is not among a sample's images
            for block in _blocks():
                times = self._times[block, images].astype(np.float32)
                shares[block] = (times @ right) / times.sum(axis=1, keepdims=True)
        seeds = len(correct)
        center = shares.mean(axis=1)
        if seeds == 1:
            return np.asarray(center, np.float64)
        random = np.random.default_rng([_SEED, zlib.crc32(key.encode())])
        picked = random.integers(0, seeds, size=shares.shape)
        mean = np.take_along_axis(shares, picked, axis=1).mean(axis=1)
        return np.asarray(center + (mean - center) * (seeds / (seeds - 1)) ** 0.5, np.float64)

    def accuracy(self, key: str, correct: Correct) -> Estimate:
        """Return a model's accuracy: the mean over its seeds."""
        return share(correct, self.draws(key, correct))

    def recalls(self, key: str, correct: Correct) -> tuple[Estimate, ...]:
        """Return the seven emotions' recalls: the mean over the seeds; NaN for an absent one."""
        return tuple(
            share(correct[:, self.labels == emotion], self.draws(key, correct, emotion))
            for emotion in range(len(EMOTIONS))
        )

    def difference(
        self,
        keys: tuple[str, str],
        correct: tuple[Correct, Correct],
        emotion: int | None = None,
    ) -> Estimate:
        """Return by how much the first model's accuracy (or a recall) is above the second's."""
        first, second = (
            self.draws(key, each, emotion) for key, each in zip(keys, correct, strict=True)
        )
        mask = slice(None) if emotion is None else self.labels == emotion
        one, other = correct[0][:, mask], correct[1][:, mask]
        value = _mean(one) - _mean(other)
        return estimate(value, first - second, one.shape[1], min(len(one), len(other)))


def share(correct: Correct, draws: Draws) -> Estimate:
    """Return a share of right answers with its interval, not narrower than Wilson's.

    Where no image is right, or all are, every sample is the same; Wilson's interval still tells
    how little so many images say.
    """
    seeds, images = correct.shape
    found = estimate(_mean(correct), draws, images, seeds)
    if not images:
        return found
    low, high = wilson_interval(round(found.value * images), images)
    ends = [end for end in (low, high, found.low, found.high) if np.isfinite(end)]
    return replace(found, low=min(ends), high=max(ends))


def estimate(value: float, draws: Draws, images: int, seeds: int) -> Estimate:
    """Return a figure with the interval that samples of it give.

    Its ends are NaN where the samples have no value or are all the same, and so tell nothing.
    """
    known = draws[np.isfinite(draws)]
    varied = len(known) > 0 and np.ptp(known) > 0
    low, high = np.quantile(known, (0.025, 0.975)) if varied else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high), images, seeds)


def _blocks() -> list[slice]:
    return [slice(at, min(at + _BLOCK, RESAMPLES)) for at in range(0, RESAMPLES, _BLOCK)]


def _mean(correct: Correct) -> float:
    return float(correct.mean()) if correct.size else float("nan")
