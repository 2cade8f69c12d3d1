"""From pictures to faces with emotions: decode, detect, crop, classify."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.images.decode import Decoded, Source, UnreadableError, decode, name_of
from mien.recognition.classifier import OnnxClassifier
from mien.recognition.crop import crop_face
from mien.recognition.detection import Detection, Detector, Points
from mien.recognition.detectors import FaceOptions, detect, detector_by_name
from mien.recognition.quality import Quality, quality_of
from mien.recognition.results import Face, Picture

UNCERTAIN_BELOW = 0.5
"""The default threshold of the verdict `uncertain`. Of the bundled model's guesses on FER2013's
validation images with less confidence 42 % are right, of the others 77 %: below it a guess is more
often wrong than right. See docs/recognition.md for other thresholds."""

Load: TypeAlias = "Callable[[], Source]"
"""Gets a picture, in the thread that will decode it; raises `UnreadableError` if it cannot."""

_FACES_AT_ONCE = 64
_PICTURES_AT_ONCE = 16


@dataclass(frozen=True)
class _Found:
    """A face that waits to be classified; the box and the points are in the full picture."""

    box: tuple[int, int, int, int]
    detection: float
    quality: tuple[Quality, ...]
    landmarks: Points | None


@dataclass(frozen=True)
class _Searched:
    """A picture whose faces wait to be classified."""

    name: str
    width: int = 0
    height: int = 0
    faces: tuple[_Found, ...] = ()
    images: NDArray[np.uint8] | None = None  # the faces, preprocessed
    reason: str | None = None


class Recognizer:
    """Finds the faces of pictures and says what they express; keeps what is costly to load.

    May be used from several threads at once.

    Args:
        model: the path of an exported model, the name of one that comes with mien (see
            `mien models`), or None for the default one.
        detector: "auto" (YuNet where `mien weights` has its file, else Haar), "yunet", "haar", the
            path of YuNet's file, or a callable that takes a picture (uint8, H×W×3, RGB) and
            returns boxes; see `mien.recognition.detection.Detector`.
        threads: how many threads the classification of a batch may use; None: all cores.
        faces: which faces count, and how they are cut out.
        uncertain_below: faces whose likeliest emotion has a lower probability (0 to 1) get the
            verdict `uncertain`; 0: none.

    Attributes:
        classifier: the model at work, with its labels, preprocessing and provenance.
        detector: the detector at work.
        faces: the `FaceOptions` at work.
        uncertain_below: the threshold at work.

    Raises:
        MienError: the model or the detector does not exist or cannot be used, or the threshold is
            out of its range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        detector: str | os.PathLike[str] | Detector = "auto",
        threads: int | None = None,
        *,
        faces: FaceOptions | None = None,
        uncertain_below: float = UNCERTAIN_BELOW,
    ) -> None:
        if not 0 <= uncertain_below <= 1:
            raise MienError(
                f"the threshold of certainty must be between 0 and 1, not {uncertain_below}"
            )
        self.faces = faces or FaceOptions()
        self.uncertain_below = uncertain_below
        self.classifier = OnnxClassifier(model, threads)
        self.detector: Detector = (
            detector_by_name(detector, self.faces)
            if isinstance(detector, str | os.PathLike)
            else detector
        )

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

    def analyze_many(
        self, images: Iterable[Source | Load], *, detect: bool = True, workers: int = 1
    ) -> Iterator[Picture]:
        """Yield the result of each picture in order; faces are batched over pictures.

        Takes up to 16 pictures and 2 a worker from `images` before it yields, and keeps of those
        only the preprocessed faces, so memory does not grow with their number or size. A picture
        that cannot be read is a result like any other.

        Args:
            images: as `analyze` takes them, or functions that get them.
            detect: likewise.
            workers: pictures that are decoded and searched at once, in threads, while others are
                classified. A detector of your own must stand being called from several threads if
                this is more than 1.
        """
        waiting: list[_Searched] = []
        faces = 0
        for searched in self._searched(images, detect, workers):
            waiting.append(searched)
            faces += len(waiting[-1].faces)
            if faces >= _FACES_AT_ONCE or len(waiting) >= _PICTURES_AT_ONCE:
                yield from self._classify(waiting)
                waiting, faces = [], 0
        yield from self._classify(waiting)

    def _searched(
        self, images: Iterable[Source | Load], search: bool, workers: int
    ) -> Iterator[_Searched]:
        if workers <= 1:
            for image in images:
                yield self._search(image, search)
            return
        with ThreadPoolExecutor(workers) as pool:
            ahead: deque[Future[_Searched]] = deque()
            for image in images:
                ahead.append(pool.submit(self._search, image, search))
                if len(ahead) >= 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _search(self, image: Source | Load, search: bool) -> _Searched:
        name = "<image>" if callable(image) else name_of(image)
        try:
            decoded = decode(image() if callable(image) else image)
        except UnreadableError as error:
            return _Searched(name, reason=error.message)
        pixels = decoded.pixels
        scale = max(decoded.scale)
        if search:
            found = self.faces.choose(detect(self.detector, pixels), scale)
            crops = [self._crop(pixels, face) for face in found]
        else:
            found = [Detection((0.0, 0.0, pixels.shape[1], pixels.shape[0]))]
            crops = [pixels]
        faces = tuple(
            _Found(
                _full_box(face, decoded),
                face.score,
                quality_of(crop, max(face.box[2:]) * scale),
                _full_points(face, decoded),
            )
            for face, crop in zip(found, crops, strict=True)
        )
        images = self.classifier.preprocessing(crops) if crops else None
        return _Searched(name, decoded.width, decoded.height, faces, images)

    def _crop(self, pixels: NDArray[np.uint8], face: Detection) -> NDArray[np.uint8]:
        eyes = face.landmarks[:2] if self.faces.align and face.landmarks else None
        return crop_face(pixels, face.box, self.faces.margin, eyes)

    def _classify(self, pictures: list[_Searched]) -> Iterator[Picture]:
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
            faces = tuple(self._face(found, next(rows)) for found in picture.faces)
            yield Picture(
                picture.name, "ok" if faces else "no_face", picture.width, picture.height, faces
            )

    def _face(self, found: _Found, scores: NDArray[np.float32]) -> Face:
        values = {emotion: float(score) for emotion, score in zip(EMOTIONS, scores, strict=True)}
        emotion = max(values, key=values.__getitem__)
        return Face(
            found.box,
            float(found.detection),
            emotion,
            values[emotion],
            values,
            values[emotion] < self.uncertain_below,
            found.quality,
            found.landmarks,
        )


def cores() -> int:
    """Return how many cores this process may use: the fastest number of workers."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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


def _full_points(face: Detection, decoded: Decoded) -> Points | None:
    """Return landmarks in pixels of the full picture, to a tenth of one."""
    if face.landmarks is None:
        return None
    across, down = decoded.scale
    return tuple((round(x * across, 1), round(y * down, 1)) for x, y in face.landmarks)
