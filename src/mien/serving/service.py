"""The work behind the API: pictures as bytes in, results out, on a bounded number of threads."""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.images.decode import FORMATS
from mien.recognition.bundled import SAMPLE
from mien.recognition.classifier import OnnxClassifier
from mien.recognition.detectors import Detection, Detector, detect
from mien.recognition.recognizer import Recognizer, cores
from mien.recognition.results import Picture
from mien.serving.batching import MicroBatcher
from mien.serving.gate import Gate
from mien.serving.limits import Limits
from mien.serving.metrics import Metrics
from mien.serving.problems import ProblemError


@dataclass(frozen=True)
class Upload:
    """A picture as it was sent: what its results are called, and the bytes of its file."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Analyzed:
    """What became of an upload.

    Attributes:
        picture: the result.
        left_out: faces beyond the limit, which were found but not classified.
        problem: why the picture could not be read, or None.
    """

    picture: Picture
    left_out: int = 0
    problem: ProblemError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: those of the picture, and `faces_left_out`."""
        return {**self.picture.to_dict(), "faces_left_out": self.left_out}


class Service:
    """One recognizer for all requests.

    It is ready when it exists: the model is loaded and has seen a picture.

    Args:
        recognizer: does the work; its model is run by a `MicroBatcher`, in one thread.
        limits: what is accepted.
        workers: pictures that are decoded and searched at once; None: one a core that this
            process may use.

    Attributes:
        gate: where requests take their places.
        metrics: what Prometheus is told.
        limits: what is accepted.
        name: the model's.
    """

    def __init__(
        self, recognizer: Recognizer, limits: Limits | None = None, workers: int | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.gate = Gate(self.limits)
        self.metrics = Metrics()
        self.metrics.watch(self.gate)
        # The workers keep the cores busy: more threads for the network would only wait on them,
        # and onnxruntime's do that at full speed.
        classifier = OnnxClassifier(recognizer.classifier.path, threads=1)
        self._batcher = MicroBatcher(classifier, self.metrics.classified)
        self._recognizer = copy.copy(recognizer)
        # It has all that recognition asks of a classifier.
        self._recognizer.classifier = cast(OnnxClassifier, self._batcher)
        self._pool = ThreadPoolExecutor(workers or cores(), thread_name_prefix="mien-pictures")
        self.name = str(classifier.provenance.get("name") or classifier.path.stem)
        recognizer.analyze(SAMPLE)

    def submit(self, uploads: Sequence[Upload], *, search: bool) -> list[Future[Analyzed]]:
        """Let pictures be analyzed, each by a job of its own; a job not begun can be cancelled.

        Args:
            uploads: the pictures.
            search: False takes each whole picture as one face.
        """
        return [self._pool.submit(self._analyze, upload, search) for upload in uploads]

    def describe(self) -> dict[str, Any]:
        """Return what is known of the model, as plain JSON values."""
        classifier = self._recognizer.classifier
        return {
            "name": self.name,
            "labels": list(classifier.labels),
            "preprocessing": classifier.preprocessing.to_dict(),
            "provenance": dict(classifier.provenance),
        }

    def close(self) -> None:
        """Finish what was submitted and end all threads."""
        self._pool.shutdown()
        self._batcher.close()

    def _analyze(self, upload: Upload, search: bool) -> Analyzed:
        analyzed = self._result(upload, search)
        self.metrics.analyzed(analyzed.picture.status, len(analyzed.picture.faces))
        return analyzed

    def _result(self, upload: Upload, search: bool) -> Analyzed:
        problem = _refusal(upload.content, self.limits.pixels)
        if problem is not None:
            picture = Picture(upload.name, "unreadable", 0, 0, reason=problem.detail)
            return Analyzed(picture, problem=problem)
        recognizer = copy.copy(self._recognizer)
        surest = _Surest(self._recognizer.detector, self.limits.faces)
        recognizer.detector = surest
        picture = recognizer.analyze(upload.content, detect=search)
        picture = replace(picture, image=upload.name)
        if picture.reason is not None:
            problem = ProblemError("unreadable-picture", picture.reason)
        return Analyzed(picture, surest.left_out, problem)


class _Surest:
    """A detector that keeps the surest faces of another one, and counts those left out."""

    def __init__(self, detector: Detector, most: int) -> None:
        self._detector = detector
        self._most = most
        self.left_out = 0

    def __call__(self, picture: NDArray[np.uint8], /) -> list[Detection]:
        found = detect(self._detector, picture)
        self.left_out = max(len(found) - self._most, 0)
        return sorted(found, key=lambda face: -face.score)[: self._most]


def _refusal(content: bytes, most_pixels: int) -> ProblemError | None:
    """Return why a picture is not even decoded, by its header; None where it is."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        return ProblemError("too-large", f"a picture may have {most_pixels:,} pixels")
    except Exception:
        # Whatever Pillow's readers raise on what is not theirs.
        return ProblemError("unknown-format", "not a picture in one of: " + ", ".join(FORMATS))
    if width * height > most_pixels:
        return ProblemError(
            "too-large", f"a picture may have {most_pixels:,} pixels; this one has {width}×{height}"
        )
    return None
