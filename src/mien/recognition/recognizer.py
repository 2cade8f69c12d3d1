"""From pictures to faces with emotions: decode, detect, crop, classify."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.images.decode import Decoded, Source, UnreadableError, decode, name_of
from mien.recognition.classifier import OnnxClassifier
from mien.recognition.crop import crop_face
from mien.recognition.detectors import Detection, Detector, detect, detector_by_name
from mien.recognition.results import Face, Picture

_FACES_AT_ONCE = 64
_PICTURES_AT_ONCE = 16


@dataclass(frozen=True)
class _Found:
    """A picture whose faces wait to be classified."""

    name: str
    width: int = 0
    height: int = 0
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    detections: tuple[float, ...] = ()
    images: NDArray[np.uint8] | None = None  # the faces, preprocessed
    reason: str | None = None


class Recognizer:
    """Finds the faces of pictures and says what they express; keeps what is costly to load.

    May be used from several threads at once.

    Args:
        model: the path of an exported model, the name of one that comes with mien (see
            `mien models`), or None for the default one.
        detector: the name of a detector ("haar") or a callable that takes a picture (uint8,
            H×W×3, RGB) and returns boxes; see `mien.recognition.detectors.Detector`.
        threads: how many threads the classification of a batch may use; None: all cores.

    Attributes:
        classifier: the model at work, with its labels, preprocessing and provenance.
        detector: the detector at work.

    Raises:
        MienError: the model or the detector does not exist, or the model cannot be used.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        detector: str | Detector = "haar",
        threads: int | None = None,
    ) -> None:
        self.classifier = OnnxClassifier(model, threads)
        self.detector = detector_by_name(detector) if isinstance(detector, str) else detector

    def analyze(self, image: Source, *, detect: bool = True) -> Picture:
        """Return the faces of one picture; all are classified in one batch.

        Args:
            image: a path, the bytes of an image file, a Pillow image, or a uint8 array H×W
                (gray), H×W×3 (RGB) or H×W×4 (RGBA); see `mien.images.decode`.
            detect: False takes the whole picture as one face, for crops of faces such as
                FER2013's, in which a detector finds nothing.

        Returns:
            The result; a picture that cannot be read has the status `unreadable` and a reason.

        Raises:
            MienError: the detector returned something that is no detection.
        """
        return next(self.analyze_many([image], detect=detect))

    def analyze_many(self, images: Iterable[Source], *, detect: bool = True) -> Iterator[Picture]:
        """Yield the result of each picture in order; faces are batched over pictures.

        Takes up to 16 pictures from `images` before it yields, and keeps of those only the
        preprocessed faces, so memory does not grow with their number or size. A picture that
        cannot be read is a result like any other.
        """
        waiting: list[_Found] = []
        faces = 0
        for image in images:
            waiting.append(self._find(image, detect))
            faces += len(waiting[-1].boxes)
            if faces >= _FACES_AT_ONCE or len(waiting) >= _PICTURES_AT_ONCE:
                yield from self._classify(waiting)
                waiting, faces = [], 0
        yield from self._classify(waiting)

    def _find(self, image: Source, search: bool) -> _Found:
        name = name_of(image)
        try:
            decoded = decode(image)
        except UnreadableError as error:
            return _Found(name, reason=error.message)
        pixels = decoded.pixels
        if search:
            found = detect(self.detector, pixels)
            crops = [crop_face(pixels, face.box) for face in found]
        else:
            found = [Detection((0.0, 0.0, pixels.shape[1], pixels.shape[0]))]
            crops = [pixels]
        return _Found(
            name,
            decoded.width,
            decoded.height,
            tuple(_full_box(face, decoded) for face in found),
            tuple(face.score for face in found),
            self.classifier.preprocessing(crops) if crops else None,
        )

    def _classify(self, pictures: list[_Found]) -> Iterator[Picture]:
        """Classify the faces of all pictures in one batch."""
        images = [picture.images for picture in pictures if picture.images is not None]
        columns = [self.classifier.labels.index(emotion) for emotion in EMOTIONS]
        rows: Iterator[NDArray[np.float32]] = iter(())
        if images:
            rows = iter(self.classifier.probabilities(np.concatenate(images))[:, columns])
        for picture in pictures:
            if picture.reason is not None:
                yield Picture(picture.name, "unreadable", 0, 0, reason=picture.reason)
                continue
            faces = tuple(
                _face(box, detection, next(rows))
                for box, detection in zip(picture.boxes, picture.detections, strict=True)
            )
            yield Picture(
                picture.name, "ok" if faces else "no_face", picture.width, picture.height, faces
            )


@functools.lru_cache(maxsize=1)
def _default() -> Recognizer:
    return Recognizer()


def analyze(image: Source, *, detect: bool = True) -> Picture:
    """Return the faces of one picture with the default model and detector, kept between calls.

    See `Recognizer.analyze` for the arguments, and `Recognizer` for another model or detector.

    Example:
        >>> import mien
        >>> picture = mien.analyze(mien.SAMPLE)
        >>> [face.emotion for face in picture.faces]
        ['happy']
    """
    return _default().analyze(image, detect=detect)


def _full_box(face: Detection, decoded: Decoded) -> tuple[int, int, int, int]:
    """Return a box in whole pixels of the full picture, at least one pixel large and inside."""
    across, down = decoded.scale
    x, y, width, height = face.box
    left = min(max(round(x * across), 0), decoded.width - 1)
    top = min(max(round(y * down), 0), decoded.height - 1)
    right = min(max(round((x + width) * across), left + 1), decoded.width)
    bottom = min(max(round((y + height) * down), top + 1), decoded.height)
    return left, top, right - left, bottom - top


def _face(box: tuple[int, int, int, int], detection: float, scores: NDArray[np.float32]) -> Face:
    values = {emotion: float(score) for emotion, score in zip(EMOTIONS, scores, strict=True)}
    emotion = max(values, key=values.__getitem__)
    return Face(box, float(detection), emotion, values[emotion], values)
