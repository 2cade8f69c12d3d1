"""Test-time augmentation: a classifier's mean opinion on several views of the same image.

Averaging the class probabilities over crops and mirrors is the practice of Krizhevsky, Sutskever
and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012, section
4.1. Their ten views are smaller than the picture; ours are resized back, since what a face fills
of its picture is then changed as little as its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError, nearest

Views = Callable[[NDArray[np.uint8]], Iterator[NDArray[np.uint8]]]
CROP = 11 / 12  # of the side: 44 of 48 pixels, near the 224 of 256 of the paper


def mean_probabilities(
    probabilities: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    images: NDArray[np.uint8],
    tta: str,
) -> NDArray[np.float32]:
    """Return the mean of the probabilities over the views of each image.

    Args:
        probabilities: gives N×7 for a batch, as a classifier's method of this name does.
        images: uint8, N×H×W or N×H×W×3, as the classifier takes them.
        tta: one of `TTA`.

    Returns:
        float32, N×7.

    Raises:
        MienError: there is no such `tta`.
    """
    if tta not in TTA:
        raise MienError(f"there is no test-time augmentation {tta!r}", hint=nearest(tta, TTA))
    views = np.stack([probabilities(view) for view in TTA[tta](images)])
    mean: NDArray[np.float32] = views.mean(axis=0, dtype=np.float32)
    return mean


def plain(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Give the images as they are."""
    yield images


def with_mirror(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Give the images and their left-right mirror images: two views of the same shape."""
    yield images
    yield np.ascontiguousarray(images[:, :, ::-1])


def ten_crops(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Give ten views: four corner crops, the central one, and the mirror images of the five.

    A crop has `round(CROP · side)` pixels a side and is resized (bilinear) to the size of the
    images.
    """
    height, width = images.shape[1:3]
    crop_height, crop_width = max(round(CROP * height), 1), max(round(CROP * width), 1)
    bottom, right = height - crop_height, width - crop_width
    corners = ((0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2))
    for top, left in corners:
        crops = images[:, top : top + crop_height, left : left + crop_width]
        view = np.empty_like(images)
        for target, crop in zip(view, crops, strict=True):
            cv2.resize(crop, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
        yield from with_mirror(view)


TTA: dict[str, Views] = {"none": plain, "flip": with_mirror, "ten-crop": ten_crops}
"""The ways of looking at an image, by the names that `mien evaluate --tta` takes."""
