"""Micro-batching: faces that several requests bring at the same time are classified together."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.recognition.classifier import BATCH, OnnxClassifier


@dataclass(frozen=True)
class _Job:
    images: NDArray[np.uint8]
    result: Future[NDArray[np.float32]] = field(default_factory=Future)


class MicroBatcher:
    """A classifier for many threads that runs another one in a thread of its own.

    It never waits for more work: while one batch is classified, what arrives becomes the next
    one. So a lone request loses no time, and the more there are at once, the larger batches get.

    Args:
        classifier: the one that does the work; its attributes are those of this one.
        observe: called with the number of faces of each batch.
        most: faces from which on a batch takes in no further job.
    """

    def __init__(
        self,
        classifier: OnnxClassifier,
        observe: Callable[[int], object] = lambda faces: None,
        most: int = BATCH,
    ) -> None:
        self._classifier = classifier
        self._observe = observe
        self._most = most
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="mien-batches", daemon=True)
        self._thread.start()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._classifier, name)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classify images as the classifier does, together with those of other threads.

        Raises:
            ValueError: the images have another dtype or shape than the model takes.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self._classifier.input_shape:
            # Refused here, so that it cannot spoil the batch of others.
            return self._classifier.probabilities(images)
        job = _Job(images)
        self._jobs.put(job)
        return job.result.result()

    def close(self) -> None:
        """End the thread, after what was given to it."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            batch, faces, last = [job], len(job.images), False
            while faces < self._most and not last:
                try:
                    more = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                else:
                    batch.append(more)
                    faces += len(more.images)
            self._classify(batch, faces)
            if last:
                return

    def _classify(self, batch: list[_Job], faces: int) -> None:
        self._observe(faces)
        try:
            rows = self._classifier.probabilities(np.concatenate([job.images for job in batch]))
        except BaseException as error:
            # It belongs to those who wait; the thread goes on with the next.
            for job in batch:
                job.result.set_exception(error)
            return
        start = 0
        for job in batch:
            job.result.set_result(rows[start : start + len(job.images)])
            start += len(job.images)
