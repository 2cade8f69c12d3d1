"""What is wrong with single images, as far as their pixels tell: blank, with a border, drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.data.duplicates import as_gray

DRAWN = 0.08
"""From which `drawn_scores` on an image is listed as drawn. Of FER2013's images 57 reach it; a look
at them showed 8 photographs of much contrast, the others drawings, signs, text, a few of them made
of photographs. Drawings with soft shades are missed: how many there are is not known."""

BORDER = 0.05
"""From which `border_shares` on an image is listed as having a border."""

_SAME = 1  # levels of gray that a border may differ by: what encoders leave of one value
_FLAT, _EDGE = 2, 80  # levels within 3×3 pixels
_INSIDE = slice(7, 37)  # of 46×46 pixels that have neighbors: the face rather than the ground


def is_blank(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say which of N images have one value throughout."""
    flat = images.reshape(len(images), -1)
    blank: NDArray[np.bool_] = flat.min(axis=1) == flat.max(axis=1)
    return blank


def border_shares(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the share of each image's area that lies in plain stripes along its sides.

    A stripe is whole rows or columns of the value of its corner pixel. A plain ground behind a
    face is told from a border only by where the face is, so it counts as one.

    Args:
        images: uint8, N×H×W or N×H×W×3.

    Returns:
        float32, N, 0 to 1; 1 for a blank image.
    """
    pixels = images.astype(np.int16).reshape(*images.shape[:3], -1)
    height, width = pixels.shape[1:3]
    # Turned by 90 degrees at a time, each side is the top once: top, right, bottom, left.
    top, right, bottom, left = (_stripe(np.rot90(pixels, turn, axes=(1, 2))) for turn in range(4))
    rows, columns = np.maximum(height - top - bottom, 0), np.maximum(width - left - right, 0)
    shares: NDArray[np.float32] = (1 - rows * columns / (height * width)).astype(np.float32)
    return shares


def _stripe(pixels: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return how many rows at the top have one value throughout, and all the same."""
    same = np.abs(pixels - pixels[:, :1, :1]).max(axis=3) <= _SAME
    count: NDArray[np.int64] = np.cumprod(same.all(axis=2), axis=1).sum(axis=1)
    return count


def drawn_scores(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how much each image looks drawn: much plain area beside hard edges.

    The share of pixels whose 3×3 neighbors are all but equal, times the share of those whose
    neighbors span a third of the scale, in the middle of the image at 48×48. Photographs have
    noise in the first, and soft edges. The measure is ours.

    Args:
        images: uint8, N×H×W or N×H×W×3.

    Returns:
        float32, N, 0 to 0.25.
    """
    gray = as_gray(images).astype(np.int16)
    side = gray.shape[1] - 2
    shifted = [
        gray[:, y : y + side, x : x + side][:, _INSIDE, _INSIDE] for y in range(3) for x in range(3)
    ]
    span = np.maximum.reduce(shifted) - np.minimum.reduce(shifted)
    flat, edges = (span <= _FLAT).mean(axis=(1, 2)), (span >= _EDGE).mean(axis=(1, 2))
    scores: NDArray[np.float32] = (flat * edges).astype(np.float32)
    return scores
