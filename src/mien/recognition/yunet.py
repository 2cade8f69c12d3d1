"""YuNet through OpenCV: a small network that boxes faces of any pose and marks five points.

Wu, Peng and Yu, YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 20
(2023). It was trained for faces of about 10 to 300 pixels, so a picture is searched at up to two
sizes (`SEARCH_SIDES`): faces that have more than 300 pixels in the larger one fit into the smaller,
and what the larger one calls a face of such a size is a guess and dropped.

The longer side of its boxes is the side of FER2013's pictures, as a Haar cascade's is: on 557
validation images of FER2013, enlarged twice and surrounded by their repeated edges, the picture's
side was 1.04 times it (median; quartiles 0.95 and 1.13; on 559 training images, enlarged four
times, 0.99), its center beside the box's by 0.00 of a side across and -0.02 down (0.02 at four
times). So `crop_face` takes both as they are.

How good the points are depends on the file. Those of `face_detection_yunet_2026may.onnx` hardly
follow a tilted head: on the sample photo turned by 25 degrees the line through the eyes turns by 1,
so with this file setting faces upright does little.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.recognition.detection import Detection, suppress

SEARCH_SIDES = (320, 1024)
"""The longer sides, in pixels, at which a picture is searched; it is not enlarged to the second."""

SMALLEST_SIDE = 160
"""Pictures whose longer side has fewer pixels are enlarged: of a few dozen pixels YuNet returns
boxes that are not finite."""

LARGEST_FACE = 300
"""The longer side of the largest face in pixels that YuNet was trained for."""

MIN_CONFIDENCE = 0.7
"""On the four group photos with 18 faces that were looked at, the 18 had 0.86 to 0.95 and nothing
else more than 0.55."""

_OVERLAP = 0.3  # OpenCV's default
_MOST_FACES = 5000  # likewise, before overlapping ones are dropped
_HINT = "mien weights fetch yunet gets the right one"


class YuNetDetector:
    """YuNet; may be called from several threads at once.

    Args:
        file: YuNet's .onnx file, for instance from the OpenCV Zoo.
        min_confidence: the score from which on a face is one, 0 to 1.
        sides: the longer sides at which a picture is searched: one, or two, ascending.

    Raises:
        MienError: the file is missing or is not YuNet.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        min_confidence: float = MIN_CONFIDENCE,
        sides: tuple[int] | tuple[int, int] = SEARCH_SIDES,
    ) -> None:
        self.file = Path(file)
        self.min_confidence = min_confidence
        self.sides = sides
        # A cv2.FaceDetectorYN keeps the size of its input, so each thread has its own.
        self._local = threading.local()
        if not self.file.is_file():
            raise MienError(f"there is no file {file} with YuNet", hint=_HINT)
        try:
            faces = self._search(np.zeros((SMALLEST_SIDE, SMALLEST_SIDE, 3), np.uint8))
        except cv2.error as error:
            raise MienError(f"{file} is not YuNet: OpenCV cannot use it", hint=_HINT) from error
        if faces.shape[1:] != (15,):
            raise MienError(f"{file} is not YuNet: it returns something else", hint=_HINT)

    def __call__(self, picture: NDArray[np.uint8], /) -> list[Detection]:
        """Return the faces of a picture (uint8, H×W×3, RGB) with five landmarks each."""
        scales = list(_scales(max(picture.shape[:2]), self.sides))
        found: list[Detection] = []
        for scale in scales:
            faces = self._search(_resized(picture, scale))
            sizes = faces[:, 2:4].max(axis=1, initial=0)
            if scale != scales[0]:
                faces = faces[sizes <= LARGEST_FACE]
            elif len(scales) > 1:
                # What has half as many pixels in the finer search is for it to find: it errs less.
                faces = faces[sizes * scales[1] / scale > LARGEST_FACE / 2]
            found += [_detection(face, scale) for face in faces]
        return suppress(found)

    def _search(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return YuNet's own rows, N×15: box, five points, score."""
        detector = self._detector()
        detector.setInputSize((picture.shape[1], picture.shape[0]))
        _, faces = detector.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if faces is None:
            return np.empty((0, 15), np.float32)
        usable = np.isfinite(faces).all(axis=1) & (faces[:, 2:4] >= 1).all(axis=1)
        rows: NDArray[np.float32] = faces[usable]
        return rows

    def _detector(self) -> Any:
        if not hasattr(self._local, "detector"):
            self._local.detector = cv2.FaceDetectorYN.create(
                str(self.file),
                "",
                (SMALLEST_SIDE, SMALLEST_SIDE),
                self.min_confidence,
                _OVERLAP,
                _MOST_FACES,
            )
        return self._local.detector


def _scales(side: int, sides: tuple[int] | tuple[int, int]) -> Iterator[float]:
    """Yield by what a picture is scaled for each search, ascending; each size once."""
    sizes = {min(max(side, SMALLEST_SIDE), wanted) for wanted in sides}
    for size in sorted(sizes):
        yield size / side


def _resized(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1:
        return np.ascontiguousarray(picture)
    height, width = (max(round(length * scale), 1) for length in picture.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, (width, height), interpolation=how)  # type: ignore[return-value]


def _detection(face: NDArray[np.float32], scale: float) -> Detection:
    x, y, width, height, *points = (float(value) / scale for value in face[:14])
    pairs = tuple(zip(points[::2], points[1::2], strict=True))
    return Detection((x, y, width, height), min(float(face[14]), 1.0), pairs)
