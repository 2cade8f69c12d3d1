"""Where the faces are: what a detector is, what all of them go through, and the choice by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError, nearest

Box: TypeAlias = tuple[float, float, float, float]
"""x, y, width, height in pixels; x and y are those of the upper left corner."""

OVERLAP = 0.4
"""Of two boxes with a larger intersection over union than this the less certain one is dropped."""


@dataclass(frozen=True)
class Detection:
    """A face as a detector sees it.

    Attributes:
        box: x, y, width, height in pixels of the picture; may reach beyond it.
        score: how sure the detector is, 0 to 1.
        landmarks: N×2, x and y of points in the face, or None where a detector knows none.
    """

    box: Box
    score: float = 1.0
    landmarks: NDArray[np.float32] | None = None


class Detector(Protocol):
    """Finds faces. Any callable of this form serves, a function of the user's as well."""

    def __call__(self, picture: NDArray[np.uint8], /) -> Iterable[Detection | Sequence[float]]:
        """Return the faces of a picture in any order.

        Args:
            picture: uint8, H×W×3, RGB.

        Returns:
            `Detection`s, or x, y, width, height and perhaps the score as plain numbers.
        """


# A detector that needs weights or a library of its own becomes a module here and a line there.
def _haar() -> Detector:
    from mien.recognition.haar import HaarDetector

    return HaarDetector()


DETECTORS: dict[str, Callable[[], Detector]] = {"haar": _haar}


def detector_by_name(name: str) -> Detector:
    """Return one of the `DETECTORS`, ready for use.

    Raises:
        MienError: there is none of that name.
    """
    if name not in DETECTORS:
        raise MienError(f"unknown detector {name!r}", hint=nearest(name, DETECTORS))
    return DETECTORS[name]()


def detect(detector: Detector, picture: NDArray[np.uint8]) -> list[Detection]:
    """Return the faces that a detector finds, each once, inside the picture, from left to right.

    Faces whose centres have the same x come from top to bottom.

    Raises:
        MienError: the detector returned something that is no detection.
    """
    height, width = picture.shape[:2]
    clipped = (_clip(_as_detection(found), width, height) for found in detector(picture))
    unique = suppress([face for face in clipped if face is not None])
    return sorted(unique, key=lambda face: (*_center(face.box), face.box))


def suppress(detections: Sequence[Detection], overlap: float = OVERLAP) -> list[Detection]:
    """Return the detections without those that overlap a more certain one, the surest first."""
    kept: list[Detection] = []
    for candidate in sorted(detections, key=lambda face: (-face.score, face.box)):
        if all(intersection_over_union(candidate.box, face.box) <= overlap for face in kept):
            kept.append(candidate)
    return kept


def intersection_over_union(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the area that two boxes share by the area that they cover, 0 to 1."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def _as_detection(found: Any) -> Detection:
    if isinstance(found, Detection):
        return found
    try:
        numbers = tuple(float(number) for number in found)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) not in (4, 5) or not np.isfinite(numbers).all():
        raise MienError(
            f"a detector returned {found!r}",
            hint="return Detection objects, or (x, y, width, height[, score])",
        )
    x, y, width, height = numbers[:4]
    return Detection((x, y, width, height), numbers[4] if len(numbers) == 5 else 1.0)


def _clip(face: Detection, width: int, height: int) -> Detection | None:
    """Return the part of a face that is in the picture; None where less than a pixel is."""
    x, y, box_width, box_height = face.box
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + box_width, width), min(y + box_height, height)
    if right - left < 1 or bottom - top < 1:
        return None
    score = min(max(float(face.score), 0.0), 1.0)
    return Detection((left, top, right - left, bottom - top), score, face.landmarks)


def _center(box: Box) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2
