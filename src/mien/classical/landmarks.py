"""Points in a face: what finds them, ready-made finders of OpenCV, and where the eyes are.

Anything that maps a picture to points serves as a finder, a detector of `mien.recognition` that
knows landmarks as well: `lambda picture: detections[0].landmarks if (detections :=
detector(picture)) else None`.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError

Points = NDArray[np.float32]
"""P×2, x and y in pixels, the center of the upper left pixel being 0, 0. P is 2 (the eyes), 5
(eyes, nose, corners of the mouth) or 68 (the scheme of iBUG 300-W); what is left in the picture
comes first."""

# A face crop is searched at these sizes: 48 pixels are too few for either finder.
_SIDE = 192
_YUNET_SIDE = 128
_YUNET_MARGIN = 32  # A crop that the face fills is found more often with something around it.


class Finder(Protocol):
    """Finds the points of the one face in a picture."""

    def __call__(self, picture: NDArray[np.uint8], /) -> Points | None:
        """Return the points of the face (uint8, H×W×3, RGB), or None where none is seen."""


class YuNet:
    """OpenCV's FaceDetectorYN (Wu et al. 2023) on a face crop: five points of the surest face.

    Args:
        file: YuNet's .onnx, for instance from the OpenCV Zoo.
        threshold: the score from which on a face is one, 0 to 1.

    Raises:
        MienError: the file is missing or is not YuNet.
    """

    def __init__(self, file: Path | str, threshold: float = 0.5) -> None:
        self.file = Path(file)
        if not self.file.is_file():
            raise MienError(f"there is no file {file} with YuNet, which finds landmarks")
        side = _YUNET_SIDE + 2 * _YUNET_MARGIN
        try:
            self._detector = cv2.FaceDetectorYN.create(str(file), "", (side, side), threshold)
            self._detector.detect(np.zeros((side, side, 3), np.uint8))
        except cv2.error as error:
            raise MienError(f"{file} is not YuNet: OpenCV cannot use it") from error

    def __call__(self, picture: NDArray[np.uint8], /) -> Points | None:
        """Return the eyes, the nose and the corners of the mouth: 5×2."""
        margin = _YUNET_MARGIN
        bgr: NDArray[Any] = cv2.resize(picture[..., ::-1], (_YUNET_SIDE, _YUNET_SIDE))
        bgr = cv2.copyMakeBorder(bgr, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        faces: Any = self._detector.detect(bgr)[1]
        if faces is None:
            return None
        best = faces[faces[:, 14].argmax()]
        return _in_picture(best[4:14].reshape(5, 2) - margin, _YUNET_SIDE, picture)


class HaarEyes:
    """OpenCV's Haar cascade for eyes (Viola and Jones 2001) on a face crop: the likeliest pair."""

    def __call__(self, picture: NDArray[np.uint8], /) -> Points | None:
        """Return the centres of the eyes, 2×2, or None where no two lie as eyes do."""
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        gray = cv2.equalizeHist(cv2.resize(gray, (_SIDE, _SIDE)))
        upper = gray[: _SIDE * 2 // 3]
        found: Any = _eye_cascade().detectMultiScale2(
            upper, scaleFactor=1.1, minNeighbors=2, minSize=(24, 24), maxSize=(80, 80)
        )
        boxes, votes = found
        if len(boxes) < 2:
            return None
        centers = boxes[:, :2] + boxes[:, 2:] / 2
        pairs = [
            (votes[i] + votes[j], i, j)
            for i, left in enumerate(centers)
            for j, right in enumerate(centers)
            if _a_pair(left, right)
        ]
        if not pairs:
            return None
        _, i, j = max(pairs)
        return _in_picture(centers[[i, j]], _SIDE, picture)


@functools.cache
def _eye_cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_eye.xml"))


def _a_pair(left: NDArray[Any], right: NDArray[Any]) -> bool:
    """Say whether two places of a face crop lie as far apart and as level as eyes do."""
    dx, dy = right - left
    in_halves = left[0] < _SIDE * 0.55 and right[0] > _SIDE * 0.45
    return bool(in_halves and 0.2 * _SIDE < dx < 0.7 * _SIDE and abs(dy) < 0.5 * dx)


def _in_picture(points: NDArray[Any], side: int, picture: NDArray[np.uint8]) -> Points:
    """Return points of the searched square as points of the picture."""
    height, width = picture.shape[:2]
    scaled = (points + 0.5) * (width / side, height / side) - 0.5
    result: Points = scaled.astype(np.float32)
    return result


def eyes_of(points: NDArray[Any]) -> NDArray[np.float32]:
    """Return the centres of the eyes: N×P×2 to float32 N×2×2, the left one in the picture first.

    Raises:
        MienError: P is none of 2, 5 and 68.
    """
    count = points.shape[1]
    if count == 68:
        eyes = np.stack([points[:, 36:42].mean(axis=1), points[:, 42:48].mean(axis=1)], axis=1)
    elif count in (2, 5):
        eyes = points[:, :2]
    else:
        raise MienError(f"landmarks must be 2, 5 or 68 points, not {count}")
    return eyes.astype(np.float32)


def find_points(finder: Finder, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the points of a batch of faces.

    Args:
        finder: as above.
        images: uint8, N×H×W or N×H×W×3 (RGB).

    Returns:
        float32, N×P×2; NaN where no face was seen. P is 0 where it was seen in no image.

    Raises:
        MienError: the finder gives something else, or not always as many points.
    """
    found = []
    for image in images:
        picture = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        points = finder(np.ascontiguousarray(picture))
        found.append(None if points is None else np.asarray(points, np.float32))
    shapes = {points.shape for points in found if points is not None}
    if len(shapes) > 1 or any(len(shape) != 2 or shape[1] != 2 for shape in shapes):
        raise MienError(f"landmarks must be P×2 and always as many, not {sorted(shapes)}")
    shape = shapes.pop() if shapes else (0, 2)
    nothing = np.full(shape, np.nan, np.float32)
    result = [nothing if points is None else points for points in found]
    return np.stack(result) if result else np.empty((0, *shape), np.float32)
