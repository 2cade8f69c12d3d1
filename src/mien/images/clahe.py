"""Contrast-limited adaptive histogram equalization (CLAHE) of a batch, equal to scikit-image's.

An image is cut into tiles; each tile's clipped histogram gives a map of gray levels, and a pixel
goes through the maps of the four nearest tiles, interpolated. Zuiderveld, "Contrast Limited
Adaptive Histogram Equalization", Graphics Gems IV, 1994; every constant and rounding is that of
`skimage.exposure.equalize_adapthist`, which calls Python for every tile of every image.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.images.batches import Images, in_chunks, on_batches
from mien.images.options import number, whole

LEVELS = 1 << 14
"""Gray levels between the input's and the output's scale."""
BINS = 256
BIN_LEVELS = 1 + LEVELS // BINS
"""How many of the `LEVELS` share a bin."""


@dataclass(frozen=True)
class Axis:
    """How the pixels of one axis lie to its tiles.

    Attributes:
        tiles: the number of tiles.
        length: pixels in a tile.
        source: intp, tiles·length; the pixel that is at each place of the tiles, which go on
            with the image's reflection where it ends within a tile.
        near: intp, 2×pixels; the tile before and the tile behind each pixel.
        weight: float64, 2×pixels; their shares in the interpolation.
    """

    tiles: int
    length: int
    source: NDArray[np.intp]
    near: NDArray[np.intp]
    weight: NDArray[np.float64]


@functools.lru_cache(maxsize=64)
def axis(size: int, kernel_size: int | None) -> Axis:
    """Lay tiles along an axis of `size` pixels; a tile is an eighth of it if nothing is said."""
    length = kernel_size or max(size // 8, 1)
    tiles = -(-size // length)
    source = np.pad(np.arange(size), (0, tiles * length - size), mode="reflect")
    behind, within = np.divmod(np.arange(size) + length // 2, length)
    near = np.clip(np.stack([behind - 1, behind]), 0, tiles - 1)
    return Axis(tiles, length, source, near, np.stack([1 - within / length, within / length]))


def count_limit(clip_limit: float, pixels: int) -> int:
    """Return how often a level may occur in a tile of so many pixels; 0 and 1 do not clip."""
    return max(1, int(clip_limit * pixels)) if clip_limit > 0 else pixels


@on_batches
def clahe(images: Images, *, clip_limit: float = 0.01, kernel_size: int | None = None) -> Images:
    """Equalize by tiles with a limit on contrast: `round(255 · equalize_adapthist(image))`.

    Gray images come out equal to scikit-image's. Of a color image the value of HSV is equalized,
    as there; it comes out equal but for one gray level at ties of the last rounding, some three
    values in a million.

    Args:
        images: uint8, one image or a batch.
        clip_limit: how much of a tile's pixels may share a level, 0 to 1; 0 and 1 do not clip.
        kernel_size: the side of a tile in pixels, 1 to 1024; None for an eighth of each side.

    Raises:
        MienError: an option is out of its range.
    """
    clip_limit = number("clip_limit", clip_limit, 0, 1)
    tile = None if kernel_size is None else whole("kernel_size", kernel_size, 1, 1024)
    function = _color if images.shape[-1] == 3 else _gray
    return in_chunks(lambda batch: np.rint(255 * function(batch, tile, clip_limit)), images)


@on_batches
def adaptive_equalize(images: Images, *, kernel_size: int | None = None) -> Images:
    """Equalize by tiles without a limit on contrast: `clahe` with `clip_limit=1`.

    Args:
        images: uint8, one image or a batch.
        kernel_size: the side of a tile in pixels, 1 to 1024; None for an eighth of each side.

    Raises:
        MienError: `kernel_size` is out of its range.
    """
    return clahe(images, clip_limit=1.0, kernel_size=kernel_size)


def _gray(batch: Images, kernel_size: int | None, clip_limit: float) -> NDArray[np.float64]:
    """Return CLAHE of uint8 N×H×W×1 as float64 of the same shape from 0 to 1."""
    _, height, width, _ = batch.shape
    rows, columns = axis(height, kernel_size), axis(width, kernel_size)
    bins = _bins(batch[..., 0])
    histograms = _histograms(bins, rows, columns)
    pixels = rows.length * columns.length
    _clip(histograms, count_limit(clip_limit, pixels))
    maps = np.minimum(histograms.cumsum(axis=1) * ((LEVELS - 1) / pixels), LEVELS - 1)
    return _stretch(_interpolate(maps.astype(np.int16), bins, rows, columns))[..., None]


def _color(batch: Images, kernel_size: int | None, clip_limit: float) -> NDArray[np.float64]:
    """Return CLAHE of RGB (uint8 N×H×W×3) as float64 of the same shape from 0 to 1.

    The value of HSV is the largest channel; where hue and saturation remain, the other channels
    keep their ratio to it.
    """
    value = batch.max(axis=-1, keepdims=True)
    # Black has no hue: it becomes gray.
    ratio = np.where(value > 0, batch / np.maximum(value, 1), 1.0)
    result: NDArray[np.float64] = ratio * _gray(value, kernel_size, clip_limit)
    return result


def _bins(batch: Images) -> NDArray[np.intp]:
    """Stretch each image to all levels and return the bins of its pixels."""
    darkest = batch.min(axis=(1, 2), keepdims=True).astype(np.float64)
    brightest = batch.max(axis=(1, 2), keepdims=True).astype(np.float64)
    span = brightest - darkest
    stretched = np.rint((batch - darkest) / np.where(span > 0, span, 1) * (LEVELS - 1))
    # An image of one level is taken as 16-bit and cut off.
    flat = np.minimum(257.0 * batch, LEVELS - 1)
    bins: NDArray[np.intp] = np.where(span > 0, stretched, flat).astype(np.intp)
    return bins // BIN_LEVELS


def _histograms(bins: NDArray[np.intp], rows: Axis, columns: Axis) -> NDArray[np.int32]:
    """Return the histograms of all tiles of all images, one below the other, tiles×256."""
    count = len(bins)
    tiled = bins[:, rows.source[:, None], columns.source].reshape(
        count, rows.tiles, rows.length, columns.tiles, columns.length
    )
    tile = np.arange(count * rows.tiles * columns.tiles) * BINS
    places = tiled + tile.reshape(count, rows.tiles, 1, columns.tiles, 1)
    counts = np.bincount(places.ravel(), minlength=tile.size * BINS)
    return counts.reshape(-1, BINS).astype(np.int32)


def _clip(histograms: NDArray[np.int32], limit: int) -> None:
    """Cut the histograms (tiles×256) off at a limit and spread what was cut over the other bins."""
    excess = np.maximum(histograms - limit, 0).sum(axis=1)
    np.minimum(histograms, limit, out=histograms)
    share = (excess // BINS)[:, None]
    low = histograms < limit - share
    histograms += np.where(low, share, 0).astype(np.int32)
    excess -= low.sum(axis=1) * share[:, 0]
    middle = (histograms >= limit - share) & (histograms < limit)
    excess -= np.where(middle, limit - histograms, 0).sum(axis=1)
    histograms[middle] = limit

    tiles = np.flatnonzero(excess > 0)
    for first in itertools.cycle(range(BINS)):
        if not tiles.size:
            break
        under = histograms[tiles] < limit
        step = np.maximum(1, under.sum(axis=1) // excess[tiles])
        raised = under & combs(first)[step]
        histograms[tiles] += raised
        excess[tiles] -= raised.sum(axis=1)
        # Where every bin is full, the rest has no place.
        tiles = tiles[(excess[tiles] > 0) & under.any(axis=1)]


@functools.lru_cache(maxsize=BINS)
def combs(first: int) -> NDArray[np.bool_]:
    """Return which bins every step from 0 to 256 meets that starts at a bin: bool 257×256."""
    distance = np.arange(BINS) - first
    step = np.maximum(np.arange(BINS + 1), 1)[:, None]
    met: NDArray[np.bool_] = (distance >= 0) & (distance % step == 0)
    return met


def _interpolate(
    maps: NDArray[np.int16], bins: NDArray[np.intp], rows: Axis, columns: Axis
) -> NDArray[np.uint16]:
    """Take every pixel through the maps (tiles×256) of the four tiles around it."""
    image = np.arange(len(bins))[:, None, None] * (rows.tiles * columns.tiles)
    result = np.zeros(bins.shape, np.float32)
    for i in range(2):
        for j in range(2):
            tile = rows.near[i][:, None] * columns.tiles + columns.near[j]
            weight = columns.weight[j] * rows.weight[i][:, None]
            mapped = np.take(maps, (image + tile) * BINS + bins)
            # Each product is rounded to single precision and so is the sum, as in scikit-image:
            # the levels are cut off next, and the last bit decides.
            result += (mapped * weight).astype(np.float32)
    return result.astype(np.uint16)


def _stretch(levels: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Stretch every image of N×H×W to the range from 0 to 1; an image of one level is cut off."""
    darkest = levels.min(axis=(1, 2), keepdims=True).astype(np.float64)
    span = levels.max(axis=(1, 2), keepdims=True) - darkest
    stretched = (levels - darkest) / np.where(span > 0, span, 1)
    return np.where(span > 0, stretched, np.minimum(levels, 1))
