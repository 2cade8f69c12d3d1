"""How the filters take one image or a batch: every filter is written once, on N×H×W×C."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError

Images = NDArray[np.uint8]

_Function = TypeVar("_Function", bound=Callable[..., NDArray[Any]])

_CHUNK = 1 << 16  # values: FER2013's images by the dozen, large photos one by one
_SHAPES = "H×W, H×W×3, N×H×W or N×H×W×3"


def as_batch(images: Images) -> Images:
    """Return one image or a batch as N×H×W×C, C being 1 or 3 (a view where that is possible).

    An array of three axes is one color image where its last axis has 3 elements and a batch of
    gray images where it has not. An array of four axes is always a batch, so a batch of gray
    images that are 3 pixels wide can be given as N×H×W×1.

    Raises:
        MienError: the array is not uint8, has another shape, or has images without pixels.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise MienError(
            f"images must be uint8, not {images.dtype}",
            hint="give values from 0 to 255 as uint8: images.astype(np.uint8)",
        )
    if images.ndim == 2:
        batch = images[None, :, :, None]
    elif images.ndim == 3:
        batch = images[None] if images.shape[-1] == 3 else images[..., None]
    else:
        batch = images
    if batch.ndim != 4 or batch.shape[-1] not in (1, 3) or 0 in batch.shape[1:]:
        raise MienError(f"images must have the shape {_SHAPES}, not {images.shape}")
    return batch


def on_batches(function: _Function) -> _Function:
    """Let a function of N×H×W×C take what `as_batch` takes and return the shape it was given."""

    @functools.wraps(function)
    def on_any(images: Images, **options: Any) -> NDArray[Any]:
        batch = as_batch(images)
        if not len(batch):
            # Options are checked even where there is no image.
            sample: NDArray[Any] = function(np.zeros((1, 1, 1, 1), np.uint8), **options)
            return np.empty(images.shape, sample.dtype)
        result: NDArray[Any] = function(batch, **options)
        return result.reshape(images.shape)

    return cast(_Function, on_any)


def in_chunks(
    function: Callable[[Images], NDArray[Any]], batch: Images, *, channels: int | None = None
) -> Images:
    """Apply a function to a few images of N×H×W×C at a time, so that they stay in the cache.

    Its result has the shape of its argument, or another number of `channels` where one is given.
    """
    result = np.empty((*batch.shape[:3], channels or batch.shape[3]), np.uint8)
    step = max(1, _CHUNK // max(1, batch[:1].size))
    for start in range(0, len(batch), step):
        result[start : start + step] = function(batch[start : start + step])
    return result
