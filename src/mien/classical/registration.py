"""Registration by the eyes: each face is turned, scaled and shifted so that they lie level at
fixed places."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PLACES = ((0.31, 0.38), (0.69, 0.38))
"""Where the eyes come to lie, as fractions of the side: x and y, the left one in the picture
first. Near their mean in FER2013, so that little is cut off."""


def places(size: int) -> NDArray[np.float64]:
    """Return `PLACES` in pixels of an image of `size`, 2×2; a pixel's centre is a whole number."""
    return np.array(PLACES) * size - 0.5


def similarity(eyes: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Return the 2×3 matrix of turn, scale and shift that takes the eyes (2×2) to their places."""
    # As complex numbers such a map is z → a·z + b, and two points decide it.
    (left, right) = eyes.astype(np.float64) @ (1, 1j)
    (target_left, target_right) = places(size) @ (1, 1j)
    a = (target_right - target_left) / (right - left)
    b = target_left - a * left
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def register(images: NDArray[np.uint8], eyes: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the images with their eyes at `PLACES`.

    Args:
        images: uint8, N×S×S or N×S×S×3.
        eyes: N×2×2, two different places in each image.

    Returns:
        uint8, of the same shape; beyond the border its pixels are repeated.
    """
    size = images.shape[1]
    result = np.empty_like(images)
    for image, pair, target in zip(images, eyes, result, strict=True):
        target[:] = cv2.warpAffine(
            image,
            similarity(pair, size),
            (size, size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return result
