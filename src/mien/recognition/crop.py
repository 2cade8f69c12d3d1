"""From a detector's box to the square that the network was trained on.

How large that square is was measured: `HaarDetector` on 600 random training faces of FER2013,
enlarged four times and surrounded by their repeated edges. In the 468 where it found the face the
picture's side was 1.01 times the box's (median; quartiles 0.95 and 1.06), its centre beside the
box's by 0.00 of a side in both directions (quartiles -0.02 and 0.01 across, -0.01 and 0.02 down):
FER2013's pictures are what a Haar cascade boxes, and so is the crop. A detector with tighter boxes
has to widen them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MARGIN = 1.0
"""The side of the crop by the longer side of the box."""


def crop_face(picture: NDArray[np.uint8], box: Sequence[float]) -> NDArray[np.uint8]:
    """Cut a face out as FER2013 shows faces: a square, `MARGIN` times as large as its box.

    Args:
        picture: uint8, H×W×3.
        box: x, y, width, height in pixels of the picture.

    Returns:
        uint8, S×S×3; where the square leaves the picture, the picture's edge is repeated.
    """
    x, y, width, height = box
    side = max(round(max(width, height) * MARGIN), 1)
    left = round(x + width / 2 - side / 2)
    top = round(y + height / 2 - side / 2)
    rows = np.clip(np.arange(top, top + side), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, picture.shape[1] - 1)
    return picture[np.ix_(rows, columns)]
