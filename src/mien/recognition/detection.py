"""What a detector is and what it returns, and the arithmetic of boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Box: TypeAlias = tuple[float, float, float, float]
"""x, y, width, height in pixels; x and y are those of the upper left corner."""

Points: TypeAlias = tuple[tuple[float, float], ...]
"""x and y of points in a face, in pixels. Where there are five they are the person's right eye
(left in the picture) and left eye, the tip of the nose, the right and the left corner of the mouth.
"""

OVERLAP = 0.4
"""Of two boxes with a larger intersection over union than this the less certain one is dropped."""


@dataclass(frozen=True)
class Detection:
    """A face as a detector sees it.

    Attributes:
        box: x, y, width, height in pixels of the picture; may reach beyond it.
        score: how sure the detector is, 0 to 1.
        landmarks: points in the face, the person's right and left eye first, or None where a
            detector knows none. An array N×2 serves as well.
    """

    box: Box
    score: float = 1.0
    landmarks: Points | None = None


class Detector(Protocol):
    """Finds faces. Any callable of this form serves, a function of the user's as well."""

    def __call__(self, picture: NDArray[np.uint8], /) -> Iterable[Detection | Sequence[float]]:
        """Return the faces of a picture in any order.

        Args:
            picture: uint8, H×W×3, RGB.

        Returns:
            `Detection`s, or x, y, width, height and perhaps the score as plain numbers.
        """


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
