"""Features of gray faces: histograms of oriented gradients, local binary patterns, and geometry."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.classical.landmarks import eyes_of

LBP_CODES = 59  # Of eight neighbours: 58 uniform patterns, and one for all others.


def hog(images: NDArray[np.uint8], cell: int = 8, bins: int = 9) -> NDArray[np.float32]:
    """Return histograms of oriented gradients (Dalal and Triggs 2005) by OpenCV.

    Blocks of 2 × 2 cells overlap by one cell and are normalized each (L2-Hys). On small images
    OpenCV is ten times as fast as scikit-image, whose vectors have the same length.

    Args:
        images: uint8, N×S×S; S is a multiple of `cell`, at least two cells.
        cell: side of a cell in pixels.
        bins: directions, 0 to 180 degrees.

    Returns:
        float32, N×((S / cell − 1)² · 4 · bins), 0 to 1.
    """
    size = images.shape[1]
    block = (2 * cell, 2 * cell)
    descriptor = cv2.HOGDescriptor((size, size), block, (cell, cell), (cell, cell), bins)
    result = np.empty((len(images), descriptor.getDescriptorSize()), np.float32)
    for image, target in zip(images, result, strict=True):
        target[:] = np.ravel(descriptor.compute(np.ascontiguousarray(image)))
    return result


def lbp(images: NDArray[np.uint8], radius: int = 1, grid: int = 6) -> NDArray[np.float32]:
    """Return histograms of local binary patterns over a grid (Ahonen et al. 2006).

    The patterns are scikit-image's `nri_uniform` of eight neighbours; at the border the image is
    continued by its own pixels.

    Args:
        images: uint8, N×S×S.
        radius: distance of the neighbours in pixels.
        grid: parts along each side, at most S; they differ by one pixel where S is no multiple.

    Returns:
        float32, N×(grid² · 59); the 59 values of each part sum to 1.
    """
    from skimage.feature import local_binary_pattern

    count, size = images.shape[:2]
    edge = radius + 1
    padded = np.pad(images, ((0, 0), (edge, edge), (edge, edge)), "edge")
    # All images one below the other are one call; the padding keeps them apart.
    codes: NDArray[Any] = local_binary_pattern(  # type: ignore[no-untyped-call]
        padded.reshape(-1, padded.shape[2]), 8, radius, method="nri_uniform"
    ).reshape(padded.shape)[:, edge:-edge, edge:-edge]
    part = np.arange(size) * grid // size
    parts = part[:, None] * grid + part
    places = (np.arange(count)[:, None, None] * grid**2 + parts) * LBP_CODES + codes.astype(int)
    counts = np.bincount(places.ravel(), minlength=count * grid**2 * LBP_CODES)
    histograms = counts.reshape(count, grid**2, LBP_CODES).astype(np.float32)
    histograms /= np.maximum(histograms.sum(axis=2, keepdims=True), 1)
    return histograms.reshape(count, -1)


def geometry(points: NDArray[Any]) -> NDArray[np.float32]:
    """Return how the points of a face lie to each other, whatever its place, size and tilt.

    Args:
        points: N×P×2, as `mien.classical.landmarks.Points`; P is 5 or 68.

    Returns:
        float32, N×(2·P + P·(P−1)/2): the coordinates in a frame whose origin lies midway between
        the eyes, whose x-axis runs through them and whose unit is their distance; then the
        distance of each two points in that unit.
    """
    eyes = eyes_of(points) @ np.array([1, 1j])
    axis = eyes[:, 1] - eyes[:, 0]
    framed = (points @ np.array([1, 1j]) - eyes.mean(axis=1, keepdims=True)) / axis[:, None]
    first, second = np.triu_indices(points.shape[1], k=1)
    distances = np.abs(framed[:, first] - framed[:, second])
    return np.concatenate([framed.real, framed.imag, distances], axis=1).astype(np.float32)
