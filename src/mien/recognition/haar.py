"""OpenCV's Haar cascades as a committee: one proposes faces, three have to agree on each.

A Haar cascade (Viola and Jones, CVPR 2001; the three here are Lienhart's, from OpenCV's wheel)
slides a window over the picture at many sizes and says yes or no. How many neighboring windows
say yes is the usual measure of certainty, but on one picture it separates small faces from foliage
and folds of cloth badly. Here the cascade `alt` proposes with a low demand (two windows). Each
proposal is cut out, brought to one size, so that counts are comparable, mirrored and turned by
±15 degrees, and the cascades `alt`, `alt2` and `default` are asked about all six versions. A face
has as many votes as the cascade that gives it the fewest; its box is the mean of all windows.

How it was tuned: on four group photos with 18 labelled faces (PASCAL VOC 2011) and, for false
faces, on 23 pictures of scikit-image and two of scikit-learn without faces, each also upside down.
The proposer found 16 of the 18; 15 of those had 17 to 133 votes, the sixteenth 6; nothing else had
more than 2, except an emperor's head on one of scikit-image's coins (31) and, as they should not,
faces that are upside down (up to 16). `MIN_VOTES` is the geometric mean of 2 and 17. With it 16 of
the 18 are found without a false one, each with an intersection over union of 0.6 or more; the
cascade `default` with OpenCV's usual five neighbors finds 13. These few pictures also chose the
constants, so expect less elsewhere; on a clip that was not looked at before, its one face was found
in all of 16 frames and nothing else. Frontal faces only.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.recognition.detection import Box, Detection, suppress

PROPOSER = "alt"
COMMITTEE = ("alt", "alt2", "default")  # The strictest first: most proposals end there.
MIN_VOTES = 6
MIN_CONFIDENCE = 0.5
SMALLEST_SIDE = 320
"""Pictures whose longer side has fewer pixels are enlarged before they are searched."""
LARGEST_SIDE = 1024
"""Those whose longer side has more are reduced."""
MIN_FACE = 24
"""Smaller faces (in pixels of the searched picture) are not looked for: from the cascades' own 20
on the search takes half as long again, and a network sees little in so few pixels."""

_ANGLES = (-15.0, 0.0, 15.0)
_PATCH_FACE = 48  # The side of a proposal's box in its patch, in pixels.
_PATCH_SIDE = 82  # 0.35 of the box as margin around it.
_FACE_SIZES = (0.6, 1.5)  # By the box: faces that a committee member may see in a patch.
_NEAR = 0.3  # By the box: how far a window's center may be from the box's.


class HaarDetector:
    """The committee; may be called from several threads at once.

    Args:
        min_confidence: the score from which on a proposal is a face, 0 to 1. The score is
            `votes / (votes + MIN_VOTES)`, so 0.5 asks for `MIN_VOTES`.
        largest_side: larger pictures are reduced to it.
    """

    def __init__(
        self, min_confidence: float = MIN_CONFIDENCE, largest_side: int = LARGEST_SIDE
    ) -> None:
        self.min_confidence = min_confidence
        self.largest_side = largest_side
        # A cv2.CascadeClassifier keeps state while it works, so each thread has its own.
        self._local = threading.local()

    def __call__(self, picture: NDArray[np.uint8], /) -> list[Detection]:
        """Return the faces of a picture (uint8, H×W×3, RGB), the surest first."""
        gray: NDArray[Any] = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        side = max(gray.shape)
        scale = min(max(side, SMALLEST_SIDE), self.largest_side) / side
        if scale != 1:
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            height, width = (max(round(n * scale), 1) for n in gray.shape)
            gray = cv2.resize(gray, (width, height), interpolation=how)
        boxes, _ = self._cascade(PROPOSER).detectMultiScale2(
            gray, scaleFactor=1.1, minNeighbors=1, minSize=(MIN_FACE, MIN_FACE)
        )
        confirmed = [self._confirm(gray, _box(box)) for box in boxes]
        faces = suppress([face for face in confirmed if face is not None])
        return [Detection(_box(face.box, scale), face.score) for face in faces]

    def _confirm(self, gray: NDArray[Any], box: Box) -> Detection | None:
        """Let the committee vote on a proposal; None where one member has too few windows."""
        patches = list(_patches(gray, box))
        windows: list[tuple[float, float, float, float]] = []  # dx, dy, size, number; by the box
        fewest = np.inf
        for name in COMMITTEE:
            found = [
                window
                for patch, angle, mirrored in patches
                for window in self._windows(name, patch, angle, mirrored)
            ]
            votes = sum(window[3] for window in found)
            if _score(votes) < self.min_confidence or not votes:
                return None
            fewest = min(fewest, votes)
            windows += found
        all_windows = np.array(windows)
        dx, dy, size = np.average(all_windows[:, :3], axis=0, weights=all_windows[:, 3]) * box[2]
        x = box[0] + box[2] / 2 + dx - size / 2
        y = box[1] + box[3] / 2 + dy - size / 2
        return Detection((float(x), float(y), float(size), float(size)), _score(fewest))

    def _windows(
        self, name: str, patch: NDArray[Any], angle: float, mirrored: bool
    ) -> Iterator[tuple[float, float, float, float]]:
        """Yield center (dx, dy from the box's), size and number of a cascade's grouped windows."""
        smallest, largest = (round(_PATCH_FACE * size) for size in _FACE_SIZES)
        boxes, numbers = self._cascade(name).detectMultiScale2(
            patch,
            scaleFactor=1.15,
            minNeighbors=1,
            minSize=(smallest, smallest),
            maxSize=(largest, largest),
        )
        turn = np.deg2rad(angle)
        for (x, y, width, _), number in zip(boxes, numbers, strict=True):
            dx = (x + width / 2 - _PATCH_SIDE / 2) / _PATCH_FACE
            dy = (y + width / 2 - _PATCH_SIDE / 2) / _PATCH_FACE
            if max(abs(dx), abs(dy)) >= _NEAR:
                continue
            if mirrored:
                dx = -dx
            yield (
                dx * np.cos(turn) - dy * np.sin(turn),
                dx * np.sin(turn) + dy * np.cos(turn),
                width / _PATCH_FACE,
                float(number),
            )

    def _cascade(self, name: str) -> cv2.CascadeClassifier:
        cascades: dict[str, cv2.CascadeClassifier] | None = getattr(self._local, "cascades", None)
        if cascades is None:
            cascades = self._local.cascades = {}
        if name not in cascades:
            file = Path(cv2.__file__).parent / "data" / f"haarcascade_frontalface_{name}.xml"
            cascades[name] = cv2.CascadeClassifier(str(file))
        return cascades[name]


def _score(votes: float) -> float:
    return votes / (votes + MIN_VOTES)


def _box(numbers: Sequence[float], scale: float = 1.0) -> Box:
    x, y, width, height = (float(number) / scale for number in numbers)
    return x, y, width, height


def _patches(gray: NDArray[np.uint8], box: Box) -> Iterator[tuple[NDArray[Any], float, bool]]:
    """Yield a proposal's surroundings at one size, turned and mirrored: patch, angle, mirrored."""
    x, y, width, _ = (int(n) for n in box)
    margin = round(width * (_PATCH_SIDE / _PATCH_FACE - 1) / 2)
    rows = np.clip(np.arange(y - margin, y + width + margin), 0, gray.shape[0] - 1)
    columns = np.clip(np.arange(x - margin, x + width + margin), 0, gray.shape[1] - 1)
    region = gray[np.ix_(rows, columns)]
    how = cv2.INTER_AREA if len(region) > _PATCH_SIDE else cv2.INTER_CUBIC
    upright = cv2.resize(region, (_PATCH_SIDE, _PATCH_SIDE), interpolation=how)
    center = (_PATCH_SIDE - 1) / 2
    for angle in _ANGLES:
        patch = upright
        if angle:
            matrix = cv2.getRotationMatrix2D((center, center), angle, 1.0)
            patch = cv2.warpAffine(
                upright, matrix, (_PATCH_SIDE, _PATCH_SIDE), borderMode=cv2.BORDER_REPLICATE
            )
        yield patch, angle, False
        yield cv2.flip(patch, 1), angle, True
