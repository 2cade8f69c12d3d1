"""Where the network looked: by how much a probability drops when a part of the face is hidden.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, section 4.3
(occlusion). It asks the network for its answers only, so it works on any exported model.

A square slides over what the network sees, and what is under it is blurred until nothing of the
square's size can be made out. Gray squares, as in the paper, bring edges and a lightness of their
own, to which a network answers as well. Squares of three sizes (`SIZES`) do so, since a small one
hides too little to matter where the network has seen enough beside it, and a large one does not
say which of its parts mattered.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS, canonical
from mien.errors import MienError, nearest
from mien.images.decode import Source, UnreadableError
from mien.progress import Progress, silent
from mien.recognition.classifier import OnnxClassifier
from mien.recognition.recognizer import Recognizer
from mien.recognition.results import Face

GRID = 24
"""The cells of a map along each side: two pixels each at FER2013's 48."""

SIZES = (3, 6, 8)
"""The sides of the squares that hide something, in cells: 1/8, 1/4 and 1/3 of the image. Each
moves by about a third of its side."""

_BATCH = 64


@dataclass(frozen=True)
class Explanation:
    """What mattered in a face for the probability of one emotion.

    Attributes:
        number: the face's place in its picture from left to right, from 1 on.
        face: what was recognized.
        emotion: the emotion that is explained.
        image: the face as the network saw it, uint8, S×S or S×S×3 (RGB).
        drops: float32, `GRID`×`GRID`, rows from top to bottom: by how much hiding a cell lowers
            the probability, as a difference of probabilities (0.25 is 25 points). It is the mean
            over the squares that hide it, first those of one size, then the sizes. Negative where
            the probability rises.
    """

    number: int
    face: Face
    emotion: str
    image: NDArray[np.uint8]
    drops: NDArray[np.float32]

    @property
    def probability(self) -> float:
        """The probability of the emotion while nothing is hidden, 0 to 1."""
        return self.face.scores[self.emotion]

    @property
    def thirds(self) -> tuple[float, float, float]:
        """The mean drop in the upper third of the image, in the middle and in the lower one.

        In a face as FER2013 shows it these are about brows and eyes, nose and cheeks, and mouth.
        """
        upper, middle, lower = (float(part.mean()) for part in np.split(self.drops, 3))
        return upper, middle, lower

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; drops to four places."""
        rows = [[round(drop, 4) for drop in row] for row in self.drops.tolist()]
        return {
            "number": self.number,
            **self.face.to_dict(),
            "explained": self.emotion,
            "probability": self.probability,
            "thirds": dict(zip(("upper", "middle", "lower"), self.thirds, strict=True)),
            "drops": rows,
        }


def explain(
    image: Source,
    recognizer: Recognizer | None = None,
    *,
    emotion: str | None = None,
    face: int | None = None,
    detect: bool = True,
    progress: Progress = silent,
) -> tuple[Explanation, ...]:
    """Say for the faces of a picture where the network looked.

    Args:
        image: as `mien.analyze` takes it.
        recognizer: the model and the detector; None: the default ones.
        emotion: whose probability is explained; None: each face's likeliest.
        face: which face alone, counted from the left, from 1 on; None: all.
        detect: False takes the whole picture as one face.
        progress: told how many of the covered images are classified.

    Returns:
        An explanation a face, from left to right; empty where there is no face.

    Raises:
        MienError: the picture cannot be read, has no such face, or there is no such emotion.

    Example:
        >>> import mien
        >>> (face,) = mien.explain(mien.SAMPLE)
        >>> upper, middle, lower = face.thirds
        >>> face.emotion, lower > upper
        ('happy', True)
    """
    wanted = None if emotion is None else canonical(emotion)
    if emotion is not None and wanted is None:
        raise MienError(f"there is no emotion {emotion!r}", hint=nearest(emotion, EMOTIONS))
    recognizer = copy.copy(recognizer or Recognizer())
    classifier = recognizer.classifier
    recognizer.classifier = seen = _Seen(classifier)
    picture = recognizer.analyze(image, detect=detect)
    if picture.status == "unreadable":
        raise UnreadableError(f"{picture.image}: {picture.reason}")
    count = len(picture.faces)
    if face is not None and not 1 <= face <= count:
        raise MienError(
            f"{picture.image} has no face {face}",
            hint=f"it has {count}, counted from the left" if count else "none was found in it",
        )
    numbers = range(1, count + 1) if face is None else [face]

    def told(done: int, total: int | None) -> None:
        progress(len(found) * (total or 0) + done, len(numbers) * (total or 0))

    found: list[Explanation] = []
    for number in numbers:
        one, pixels = picture.faces[number - 1], seen.images[number - 1]
        drops = occlusion(classifier, pixels, told)
        label = wanted or one.emotion
        found.append(Explanation(number, one, label, pixels, drops[classifier.labels.index(label)]))
    return tuple(found)


def occlusion(
    classifier: OnnxClassifier, image: NDArray[np.uint8], progress: Progress = silent
) -> NDArray[np.float32]:
    """Return by how much hiding each part of an image lowers each probability.

    Args:
        classifier: what is asked.
        image: uint8, as the classifier's preprocessing returns one.
        progress: told how many of the covered images are classified.

    Returns:
        float32, labels × `GRID` × `GRID`; see `Explanation.drops`.
    """
    places = [(size, row, column) for size in SIZES for row, column in _corners(size)]
    before = classifier.probabilities(image[None])[0]
    sums = np.zeros((len(SIZES), len(before), GRID, GRID), np.float32)
    counts = np.zeros((len(SIZES), 1, GRID, GRID), np.float32)
    hidden = {size: _blurred(image, size) for size in SIZES}
    for start in range(0, len(places), _BATCH):
        part = places[start : start + _BATCH]
        batch = np.stack([_covered(image, hidden[place[0]], *place) for place in part])
        for (size, row, column), after in zip(part, classifier.probabilities(batch), strict=True):
            cells = (SIZES.index(size), ..., slice(row, row + size), slice(column, column + size))
            sums[cells] += (before - after)[:, None, None]
            counts[cells] += 1
        progress(start + len(part), len(places))
    drops: NDArray[np.float32] = (sums / counts).mean(axis=0)
    return drops


def _corners(size: int) -> Iterator[tuple[int, int]]:
    """Yield the upper left cells of the squares of one size; they reach all four edges."""
    starts = range(0, GRID - size + 1, size // 3)
    return ((row, column) for row in starts for column in starts)


def _blurred(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    sigma = size * len(image) / GRID / 2
    soft: NDArray[np.uint8] = cv2.GaussianBlur(
        image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE
    )  # type: ignore[assignment]
    return soft


def _covered(
    image: NDArray[np.uint8], soft: NDArray[np.uint8], size: int, row: int, column: int
) -> NDArray[np.uint8]:
    """Return the image with what is under one square taken from its blurred copy."""
    top, bottom, left, right = (
        round(edge * len(image) / GRID) for edge in (row, row + size, column, column + size)
    )
    covered = image.copy()
    covered[top:bottom, left:right] = soft[top:bottom, left:right]
    return covered


class _Seen(OnnxClassifier):
    """A classifier that keeps the images which it is asked about."""

    def __init__(self, classifier: OnnxClassifier) -> None:
        self.__dict__.update(classifier.__dict__)
        self.images: NDArray[np.uint8] = np.empty((0,), np.uint8)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.images = images
        return super().probabilities(images)
