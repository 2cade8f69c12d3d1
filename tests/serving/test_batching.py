"""Micro-batching: the same results as alone, together where there is much; errors."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien.recognition.classifier import OnnxClassifier
from mien.serving.batching import MicroBatcher


def _images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48), np.uint8)


class Slow:
    """A classifier that waits before its first batch; rows are the means of the images."""

    input_shape = (48, 48)

    def __init__(self) -> None:
        self.begun, self.free = threading.Event(), threading.Event()

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        self.begun.set()
        assert self.free.wait(30)
        if (images == 255).all(axis=(1, 2)).any():
            raise RuntimeError("white")
        return np.repeat(images.mean((1, 2), dtype=np.float32)[:, None], 7, axis=1)


def test_what_arrives_during_a_batch_becomes_one_and_everyone_gets_their_own() -> None:
    slow, sizes = Slow(), []
    batcher = MicroBatcher(slow, sizes.append)  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as pool:
        parts = [_images(count, count) for count in (1, 2, 3, 4, 5)]
        results = [pool.submit(batcher.probabilities, parts[0])]
        assert slow.begun.wait(30)
        results += [pool.submit(batcher.probabilities, part) for part in parts[1:]]
        while batcher._jobs.qsize() < 4:
            pass
        slow.free.set()
        for part, result in zip(parts, results, strict=True):
            expected = part.mean((1, 2), dtype=np.float32)
            np.testing.assert_array_equal(result.result()[:, 0], expected)
    batcher.close()
    assert sizes == [1, 14]


def test_batches_are_bounded() -> None:
    slow, sizes = Slow(), []
    batcher = MicroBatcher(slow, sizes.append, most=4)  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(batcher.probabilities, _images(1))]
        assert slow.begun.wait(30)
        results += [pool.submit(batcher.probabilities, _images(2)) for _ in range(5)]
        while batcher._jobs.qsize() < 5:
            pass
        slow.free.set()
        assert [len(result.result()) for result in results] == [1, 2, 2, 2, 2, 2]
    batcher.close()
    assert sizes == [1, 4, 4, 2]


def test_an_error_reaches_who_waits_and_the_thread_goes_on() -> None:
    slow = Slow()
    slow.free.set()
    batcher = MicroBatcher(slow)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="white"):
        batcher.probabilities(np.full((1, 48, 48), 255, np.uint8))
    assert batcher.probabilities(_images(2)).shape == (2, 7)
    batcher.close()


def test_a_model_s_results_do_not_depend_on_the_company() -> None:
    classifier = OnnxClassifier(threads=1)
    batcher = MicroBatcher(classifier)
    assert batcher.labels == classifier.labels
    parts = [_images(count, count) for count in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        for part, result in zip(parts, pool.map(batcher.probabilities, parts), strict=True):
            np.testing.assert_allclose(result, classifier.probabilities(part), atol=1e-5)
    wrong: Any = SimpleNamespace(dtype=np.float32, shape=(1, 48, 48))
    with pytest.raises(ValueError, match="must be uint8"):
        batcher.probabilities(wrong)
    batcher.close()
