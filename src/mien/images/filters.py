"""The filters that a network can have in front of it, exact, on one uint8 image or on a batch.

Every filter takes uint8 H×W, H×W×3 (RGB), N×H×W or N×H×W×3 and returns uint8 of the same shape;
an image of a batch comes out as it would alone. (Three axes are one color image where the last
has 3 elements, else a gray batch; see `mien.images.batches.as_batch`.) All of them run without
torch and scikit-image; `mien.images.device` has the same filters on tensors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mien.images.batches import Images, in_chunks, on_batches
from mien.images.clahe import adaptive_equalize, clahe
from mien.images.options import number, odd, whole

_Level = TypeVar("_Level", bound=np.generic)

MID_GRAY = 128
"""What `high_pass` makes of an area without detail."""


@on_batches
def unsharp_mask(
    images: Images, *, radius: float = 2.0, percent: int = 150, threshold: int = 3
) -> Images:
    """Sharpen: where an image differs from its blur by more than a threshold, the difference grows.

    Bit for bit Pillow's `ImageFilter.UnsharpMask`, with its defaults; color is taken channel by
    channel.

    Args:
        images: uint8, one image or a batch.
        radius: the blur's standard deviation in pixels, 0 to 1000.
        percent: how much of the difference is added, -1,000,000 to 1,000,000.
        threshold: the largest difference in gray levels that is left alone, 0 to 1,000,000.

    Raises:
        MienError: an option is out of its range.
    """
    radius = number("radius", radius, 0, 1000)
    percent = whole("percent", percent, -1_000_000, 1_000_000)
    threshold = whole("threshold", threshold, 0, 1_000_000)
    difference = np.arange(256)
    change = np.where(difference > threshold, difference * abs(percent) // 100, 0)
    change = np.minimum(change, 255).astype(np.uint8)

    def sharpen(batch: Images) -> Images:
        image = np.ascontiguousarray(batch).reshape(len(batch), -1)
        blurred = np.ascontiguousarray(_pillow_blur(batch, radius)).reshape(image.shape)
        # OpenCV's sums end at 0 and 255, so one of the two differences of a pixel is 0.
        above = cv2.LUT(cv2.subtract(image, blurred), change)
        below = cv2.LUT(cv2.subtract(blurred, image), change)
        if percent < 0:
            above, below = below, above
        sharp = cv2.subtract(cv2.add(image, above), below)
        return np.asarray(sharp, np.uint8).reshape(batch.shape)

    return in_chunks(sharpen, images)


def _pillow_blur(batch: Images, radius: float) -> Images:
    """Return Pillow's Gaussian blur of N×H×W×C.

    Blurring along the rows alone lets all images be blurred in one call, stacked into one tall
    picture: rows do not know of each other. Pillow blurs rows first and columns second.
    """
    for _ in range(2):
        count, height, width, channels = batch.shape
        shape = (count * height, width) if channels == 1 else (count * height, width, 3)
        tall = Image.fromarray(np.ascontiguousarray(batch).reshape(shape))
        blurred = np.asarray(tall.filter(ImageFilter.GaussianBlur((radius, 0))))
        batch = blurred.reshape(batch.shape).swapaxes(1, 2)
    return batch


@on_batches
def equalize_hist(images: Images) -> Images:
    """Equalize the histogram: `round(255 · equalize_hist_float(images))`, ties to even."""
    return in_chunks(
        lambda batch: _look_up(np.rint(255 * _cumulative(batch)).astype(np.uint8), batch), images
    )


@on_batches
def equalize_hist_float(images: Images) -> NDArray[np.float64]:
    """Equalize the histogram as scikit-image's `exposure.equalize_hist`, to float64 from 0 to 1.

    A pixel becomes the share of the image's pixels that are not brighter than it. As there, a
    color image has one histogram over its three channels.
    """
    return _look_up(_cumulative(images), images)


def _cumulative(batch: Images) -> NDArray[np.float64]:
    """Return the cumulative histograms of N×H×W×C, N×256, from the darkest level's share to 1."""
    count = len(batch)
    bins = batch.reshape(count, -1) + 256 * np.arange(count)[:, None]
    histograms = np.bincount(bins.ravel(), minlength=256 * count).reshape(count, 256)
    shares: NDArray[np.float64] = histograms.cumsum(axis=1) / batch[0].size
    return shares


def _look_up(tables: NDArray[_Level], batch: Images) -> NDArray[_Level]:
    """Map each image of N×H×W×C through its own table of N×256."""
    rows = 256 * np.arange(len(batch))[:, None, None, None]
    return np.take(tables, batch + rows)


@on_batches
def gaussian(images: Images, *, sigma: float = 1.0) -> Images:
    """Smooth with a Gaussian, channel by channel.

    Equal to `np.rint(skimage.filters.gaussian(image, sigma, preserve_range=True))` (so SciPy's
    `gaussian_filter` with the mode "nearest", cut off at 4 sigma).

    Args:
        images: uint8, one image or a batch.
        sigma: the standard deviation in pixels, 0 to 100; 0 changes nothing.

    Raises:
        MienError: `sigma` is out of its range.
    """
    kernel = gaussian_kernel(sigma)
    return in_chunks(lambda batch: np.rint(_smooth(batch, kernel)).astype(np.uint8), images)


def gaussian_kernel(sigma: float) -> NDArray[np.float64]:
    """Return a Gaussian's weights, float64 of odd length 2·round(4·sigma) + 1, with the sum 1."""
    sigma = number("sigma", sigma, 0, 100)
    reach = int(4 * sigma + 0.5)
    if reach == 0:
        return np.ones(1)
    weights: NDArray[np.float64] = np.exp(-0.5 * np.arange(-reach, reach + 1) ** 2 / sigma**2)
    weights /= weights.sum()
    return weights


def _smooth(batch: Images, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve the rows and the columns of N×H×W×C with a kernel; float64."""
    reach = len(kernel) // 2
    tall = cv2.sepFilter2D(
        _stack(batch, reach), cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE
    )
    return _unstack(np.asarray(tall, np.float64), batch.shape, reach)


@on_batches
def median(images: Images, *, size: int = 3) -> Images:
    """Replace each pixel by the median of the square around it, channel by channel.

    Equal to `scipy.ndimage.median_filter(image, size, mode="nearest")`; at the default size also
    to `skimage.filters.median(image)`.

    Args:
        images: uint8, one image or a batch.
        size: the side of the square in pixels, odd, 1 to 99.

    Raises:
        MienError: `size` is even or out of its range.
    """
    size = odd("size", size, 1, 99)
    reach = size // 2

    def smooth(batch: Images) -> Images:
        tall = cv2.medianBlur(_stack(batch, reach), size)
        return _unstack(np.asarray(tall, np.uint8), batch.shape, reach)

    return in_chunks(smooth, images)


def _stack(batch: Images, reach: int) -> Images:
    """Put the images of N×H×W×C above each other, with their edges repeated `reach` times.

    A filter that looks no further than `reach` then does the whole batch in one call.
    """
    padded: Images = np.pad(batch, ((0, 0), (reach, reach), (0, 0), (0, 0)), mode="edge")
    tall = padded.reshape(-1, *batch.shape[2:])
    return tall[..., 0] if tall.shape[-1] == 1 else tall


def _unstack(tall: NDArray[_Level], shape: tuple[int, ...], reach: int) -> NDArray[_Level]:
    """Undo `_stack`: return the images as N×H×W×C again."""
    count, height, width, channels = shape
    padded = tall.reshape(count, height + 2 * reach, width, channels)
    return padded[:, reach : reach + height]


@on_batches
def high_pass(
    images: Images, *, sigma: float = 2.0, amount: float = 1.0, keep: float = 0.0
) -> Images:
    """Keep what a Gaussian takes away (high-frequency emphasis), channel by channel.

    `round(keep · image + (1 - keep) · 128 + amount · (image - gaussian))`, cut to 0 to 255. With
    `keep=0` detail stands on mid gray; with `keep=1` it is added to the image, which sharpens it
    as the unsharp mask does, without a threshold. Gonzalez and Woods, Digital Image Processing,
    4th ed., section 4.9.

    Args:
        images: uint8, one image or a batch.
        sigma: the Gaussian's standard deviation in pixels, 0 to 100.
        amount: by how much detail is multiplied, 0 to 100.
        keep: how much of the image itself remains, 0 to 1.

    Raises:
        MienError: an option is out of its range.
    """
    kernel = gaussian_kernel(sigma)
    amount = number("amount", amount, 0, 100)
    keep = number("keep", keep, 0, 1)

    def emphasize(batch: Images) -> Images:
        detail = batch - _smooth(batch, kernel)
        result = keep * batch + (1 - keep) * MID_GRAY + amount * detail
        return np.clip(np.rint(result), 0, 255).astype(np.uint8)

    return in_chunks(emphasize, images)


Filter = Callable[..., Images]

FILTERS: Mapping[str, Filter] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            unsharp_mask,
            equalize_hist,
            clahe,
            adaptive_equalize,
            gaussian,
            median,
            high_pass,
        )
    }
)
"""The filters by name; their options are their keyword arguments."""


def options_of(name: str) -> Mapping[str, float | None]:
    """Return the options of a filter with their defaults; None where it depends on the image."""
    parameters = inspect.signature(FILTERS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
