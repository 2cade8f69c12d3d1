"""How fast a model is on this machine, measured in about a second."""

from __future__ import annotations

import statistics
import time

import numpy as np

from mien.recognition.classifier import OnnxClassifier

BATCH = 64
_FEWEST_ROUNDS = 5


def faces_per_second(
    classifier: OnnxClassifier, *, batch: int = BATCH, seconds: float = 1.0
) -> float:
    """Measure how many faces a second are classified: the median over repeated batches.

    Args:
        classifier: with as many threads as it was opened with.
        batch: faces at once.
        seconds: how long is measured, about; at least five batches are.
    """
    images = np.random.default_rng(0).integers(0, 256, (batch, *classifier.input_shape), np.uint8)
    classifier.probabilities(images)  # The first one allocates memory.
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _FEWEST_ROUNDS or time.perf_counter() < end:
        start = time.perf_counter()
        classifier.probabilities(images)
        times.append(time.perf_counter() - start)
    return batch / statistics.median(times)
