"""From a detector's box to the square that the network was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MARGIN = 1.3
DOWN = 0.05


def crop_face(picture: NDArray[np.uint8], box: Sequence[float]) -> NDArray[np.uint8]:
    """Cut a face out as FER2013 shows faces: a square, `MARGIN` times as large as its box.

    Args:
        picture: uint8, H×W×3.
        box: x, y, width, height in pixels of the picture.

    Returns:
        uint8, S×S×3; where the square leaves the picture, the picture's edge is repeated.
    """
    x, y, width, height = box
    longer = max(width, height)
    side = max(round(longer * MARGIN), 1)
    left = round(x + width / 2 - side / 2)
    top = round(y + height / 2 + longer * DOWN - side / 2)
    rows = np.clip(np.arange(top, top + side), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, picture.shape[1] - 1)
    return picture[np.ix_(rows, columns)]
