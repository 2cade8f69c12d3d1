"""From a detector's box to the square that the network was trained on.

How large that square is was measured: `HaarDetector` on 600 random training faces of FER2013,
enlarged four times and surrounded by their repeated edges. In the 468 where it found the face the
picture's side was 1.01 times the box's (median; quartiles 0.95 and 1.06), its center beside the
box's by 0.00 of a side in both directions (quartiles -0.02 and 0.01 across, -0.01 and 0.02 down):
FER2013's pictures are what a Haar cascade boxes, and so is the crop. The longer side of YuNet's
boxes is as long (see `mien.recognition.yunet`). A detector with tighter boxes has to widen them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

MARGIN = 1.0
"""The side of the crop by the longer side of the box."""


def crop_face(
    picture: NDArray[np.uint8],
    box: Sequence[float],
    margin: float = MARGIN,
    eyes: Sequence[Sequence[float]] | None = None,
) -> NDArray[np.uint8]:
    """Cut a face out as FER2013 shows faces: a square, `margin` times as large as its box.

    Args:
        picture: uint8, H×W×3.
        box: x, y, width, height in pixels of the picture.
        margin: the side of the crop by the longer side of the box.
        eyes: x and y of the eyes, the left one in the picture first; the face is turned about
            the middle of its box until they are level. None leaves it as it is.

    Returns:
        uint8, S×S×3; where the square leaves the picture, the picture's edge is repeated.
    """
    x, y, width, height = box
    side = max(round(max(width, height) * margin), 1)
    center = (x + width / 2, y + height / 2)
    if eyes is not None:
        return _turned(picture, center, side, eyes)
    left = round(center[0] - side / 2)
    top = round(center[1] - side / 2)
    rows = np.clip(np.arange(top, top + side), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, picture.shape[1] - 1)
    return picture[np.ix_(rows, columns)]


def _turned(
    picture: NDArray[np.uint8],
    center: tuple[float, float],
    side: int,
    eyes: Sequence[Sequence[float]],
) -> NDArray[np.uint8]:
    (x0, y0), (x1, y1) = eyes[0], eyes[1]
    angle = float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
    matrix = cv2.getRotationMatrix2D(center, angle, 1.0)
    matrix[0, 2] += side / 2 - center[0]
    matrix[1, 2] += side / 2 - center[1]
    turned: NDArray[np.uint8] = cv2.warpAffine(
        picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )  # type: ignore[assignment]
    return turned
