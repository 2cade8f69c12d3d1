"""Where the faces are: detectors by name, what all of them go through, and which faces count."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError, nearest
from mien.recognition.detection import Box, Detection, Detector, Points, suppress

__all__ = [
    "ADVICE",
    "DETECTORS",
    "Detection",
    "Detector",
    "FaceOptions",
    "detect",
    "detector_by_name",
]

ADVICE = "faces are found with the Haar detector; YuNet finds more: mien weights fetch yunet"
"""What `auto` says, once a process, where YuNet's file is missing."""

_advised = False


@dataclass(frozen=True)
class FaceOptions:
    """Which of the faces that a detector finds count, and how they are cut out.

    Attributes:
        min_size: faces whose longer side has fewer pixels of the full picture are left out.
        min_confidence: the detector's score from which on a face counts, 0 to 1; None leaves it
            to the detector (YuNet 0.7, Haar 0.5).
        margin: the side of the crop by the longer side of the box. At 1 a network sees a face as
            FER2013 shows it; see `mien.recognition.crop`.
        largest: only the largest face of a picture counts.
        align: turn each face until its eyes are level, where the detector knows the eyes.
        search_side: the longer side in pixels at which a picture is searched; smaller is faster
            and misses smaller faces. None: up to 1024 (and YuNet at 320 as well).

    Raises:
        MienError: a value is out of its range.
    """

    min_size: float = 0.0
    min_confidence: float | None = None
    margin: float = 1.0
    largest: bool = False
    align: bool = False
    search_side: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_size < np.inf:
            raise MienError(f"the minimum size of a face must be 0 or more, not {self.min_size}")
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise MienError(
                f"the minimum confidence must be between 0 and 1, not {self.min_confidence}"
            )
        if not 0.1 <= self.margin <= 4:
            raise MienError(f"the margin must be between 0.1 and 4, not {self.margin}")
        if self.search_side is not None and self.search_side < 160:
            raise MienError(f"the side searched must be 160 or more, not {self.search_side}")

    def choose(self, faces: Sequence[Detection], scale: float = 1.0) -> list[Detection]:
        """Return the faces that count.

        Args:
            faces: as `detect` returns them.
            scale: how many pixels of the full picture one of the faces' pixels is.
        """
        chosen = [
            face
            for face in faces
            if max(face.box[2:]) * scale >= self.min_size
            and (self.min_confidence is None or face.score >= self.min_confidence)
        ]
        if self.largest and chosen:
            return [max(chosen, key=lambda face: face.box[2] * face.box[3])]
        return chosen


def _haar(options: FaceOptions) -> Detector:
    from mien.recognition import haar

    sure = options.min_confidence
    return haar.HaarDetector(
        haar.MIN_CONFIDENCE if sure is None else sure, options.search_side or haar.LARGEST_SIDE
    )


def _yunet(options: FaceOptions) -> Detector:
    from mien.weights.catalog import located

    return _yunet_at(located("yunet"), options)


def _yunet_at(file: Path, options: FaceOptions) -> Detector:
    from mien.recognition import yunet

    sure = options.min_confidence
    return yunet.YuNetDetector(
        file,
        yunet.MIN_CONFIDENCE if sure is None else sure,
        (options.search_side,) if options.search_side else yunet.SEARCH_SIDES,
    )


def _auto(options: FaceOptions) -> Detector:
    from mien.weights.catalog import find

    global _advised
    if find("yunet").path.is_file():
        return _yunet(options)
    if not _advised:
        _advised = True
        warnings.warn(ADVICE, stacklevel=4)
    return _haar(options)


# A detector that needs weights or a library of its own becomes a module here and a line there.
DETECTORS: dict[str, Callable[[FaceOptions], Detector]] = {
    "auto": _auto,
    "haar": _haar,
    "yunet": _yunet,
}


def detector_by_name(name: str | os.PathLike[str], options: FaceOptions | None = None) -> Detector:
    """Return a detector, ready for use.

    Args:
        name: one of the `DETECTORS`, or the path of an .onnx file with YuNet. `auto` is YuNet
            where `mien weights` has its file, and else Haar, with a warning once a process.
        options: `min_confidence` and `search_side` are for the detector.

    Raises:
        MienError: there is no such detector, or YuNet's file is missing or cannot be used.
    """
    name, options = os.fspath(name), options or FaceOptions()
    if name in DETECTORS:
        return DETECTORS[name](options)
    if name.lower().endswith(".onnx") or Path(name).is_file():
        return _yunet_at(Path(name), options)
    raise MienError(
        f"unknown detector {name!r}",
        hint=f"{nearest(name, DETECTORS)}; the path of YuNet's .onnx file serves as well",
    )


def detect(detector: Detector, picture: NDArray[np.uint8]) -> list[Detection]:
    """Return the faces that a detector finds, each once, inside the picture, from left to right.

    Faces whose centers have the same x come from top to bottom.

    Raises:
        MienError: the detector returned something that is no detection.
    """
    height, width = picture.shape[:2]
    clipped = (_clip(_as_detection(found), width, height) for found in detector(picture))
    unique = suppress([face for face in clipped if face is not None])
    return sorted(unique, key=lambda face: (*_center(face.box), face.box))


def _as_detection(found: Any) -> Detection:
    if isinstance(found, Detection):
        landmarks = None if found.landmarks is None else _points(found.landmarks)
        return replace(found, landmarks=landmarks)
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


def _points(landmarks: Any) -> Points:
    try:
        return tuple((float(x), float(y)) for x, y in landmarks)
    except (TypeError, ValueError) as error:
        raise MienError(
            f"a detector returned the landmarks {landmarks!r}", hint="they must be N×2 numbers"
        ) from error


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
