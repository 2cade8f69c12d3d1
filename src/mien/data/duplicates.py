"""Near duplicates: the same picture twice, re-encoded, brighter, cut a little otherwise, mirrored.

Two images are compared by normalized cross-correlation (Lewis 1995, "Fast normalized
cross-correlation"), which brightness and contrast do not change, of what is left of them without
the slow changes of gray that all faces share. First all pairs at 12×12 pixels, as one product of
matrices; then the few that are alike there at 48×48, at the best of all shifts of up to 4 pixels.

On FER2013 (validation and test against training) a look at pairs drawn at random showed the same
picture in all of them from a correlation of 0.9 on; between 0.8 and 0.9 come other frames and
crops of one scene, and more and more faces that are only alike.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.images.preprocessing import resize
from mien.progress import Progress, silent

THRESHOLD = 0.9
"""From which correlation on two images are near duplicates."""

_SIDE = 48
_SMALL = 12
_SHIFT = 4
# A pair that reaches the threshold at 48×48 is hardly ever below this at 12×12: of FER2013's
# 3 in 100, all shifted or zoomed.
_CANDIDATE = 0.8
# Rows of a product of matrices computed together: 70 MB against 35,887 images.
_BLOCK = 512
# A picture without structure has no descriptor (in gray levels, root of the sum of squares).
_FLAT = 1.0

Indices = NDArray[np.intp]
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Pairs:
    """Pairs of images that show the same; all five have the same length, sorted by place.

    Attributes:
        first: intp, places in the first images.
        second: intp, places in the second images.
        similarity: float32, the correlation at the best shift, at most 1.
        mirrored: bool, whether the second had to be mirrored.
        exact: bool, whether both are equal in every pixel.
    """

    first: Indices
    second: Indices
    similarity: NDArray[np.float32]
    mirrored: NDArray[np.bool_]
    exact: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)


def find_pairs(
    first: Images,
    second: Images | None = None,
    *,
    threshold: float = THRESHOLD,
    progress: Progress = silent,
) -> Pairs:
    """Find the images of `second` that occur in `first`, exactly or nearly.

    Args:
        first: uint8, N×H×W or N×H×W×3 (RGB).
        second: uint8, M×H×W or M×H×W×3 of any size; None compares `first` with itself, each pair
            once, with the earlier image as its first.
        threshold: the lowest correlation, 0 to 1.
        progress: is told how many images of `second` were compared.
    """
    gray = _gray(first)
    other = gray if second is None else _gray(second)
    keys = _descriptors(gray)
    queries = keys if second is None else _descriptors(other)
    found: dict[tuple[int, int], tuple[float, bool, bool]] = {}
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        for mirrored in (False, True):
            rows, columns = np.nonzero(_flipped(block, mirrored) @ keys.T > _CANDIDATE)
            rows += start
            if second is None:
                rows, columns = rows[columns < rows], columns[columns < rows]
            alike = _correlations(gray, other, columns, rows, mirrored)
            for a, b, value in zip(columns.tolist(), rows.tolist(), alike.tolist(), strict=True):
                if value >= max(threshold, found.get((a, b), (0.0,))[0]):
                    found[a, b] = (value, mirrored, False)
        progress(min(start + _BLOCK, len(queries)), len(queries))
    for pair in _equal(first, second):
        found[pair] = (1.0, False, True)
    order = sorted(found)
    return Pairs(
        np.array([a for a, _ in order], np.intp),
        np.array([b for _, b in order], np.intp),
        np.array([found[pair][0] for pair in order], np.float32),
        np.array([found[pair][1] for pair in order], np.bool_),
        np.array([found[pair][2] for pair in order], np.bool_),
    )


def _equal(first: Images, second: Images | None) -> list[tuple[int, int]]:
    """Return the pairs that are equal in every pixel; blank images are among them."""
    places: dict[bytes, list[int]] = {}
    if second is not None:
        for place, digest in enumerate(map(_digest, first)):
            places.setdefault(digest, []).append(place)
        digests = map(_digest, second)
        return [(a, b) for b, digest in enumerate(digests) for a in places.get(digest, ())]
    pairs = []
    for place, digest in enumerate(map(_digest, first)):
        earlier = places.setdefault(digest, [])
        pairs += [(a, place) for a in earlier]
        earlier.append(place)
    return pairs


def _digest(image: Images) -> bytes:
    content = np.ascontiguousarray(image)
    return hashlib.blake2b(content.data, digest_size=16).digest() + bytes(str(image.shape), "ascii")


def _gray(images: Images) -> Images:
    """Return images as uint8 N×48×48."""
    if images.ndim == 4:
        images = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images])
    return resize(images[..., None], _SIDE)[..., 0]


def _descriptors(images: Images) -> NDArray[np.float32]:
    """Return float32 N×144 of length 1 and mean 0 each; zeros where an image has no structure."""
    result = np.empty((len(images), _SMALL * _SMALL), np.float32)
    for image, target in zip(images, result, strict=True):
        half = cv2.resize(
            image.astype(np.float32), (_SIDE // 2, _SIDE // 2), interpolation=cv2.INTER_AREA
        )
        fast = half - cv2.GaussianBlur(half, (0, 0), 4)
        small = cv2.resize(fast, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
        target[:] = small.reshape(-1)
    result -= result.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(result, axis=1, keepdims=True)
    result /= np.maximum(lengths, _FLAT)
    result[lengths[:, 0] < _FLAT] = 0
    return result


def _flipped(descriptors: NDArray[np.float32], mirrored: bool) -> NDArray[np.float32]:
    """Return the descriptors of the images, or of their mirror images."""
    if not mirrored:
        return descriptors
    grid = descriptors.reshape(-1, _SMALL, _SMALL)[:, :, ::-1]
    return np.ascontiguousarray(grid).reshape(-1, _SMALL * _SMALL)


def _correlations(
    first: Images, second: Images, a: Indices, b: Indices, mirrored: bool
) -> NDArray[np.float32]:
    """Return each pair's correlation at its best shift, float32."""
    result = np.empty(len(a), np.float32)
    filtered: dict[int, NDArray[np.float32]] = {}
    inner = slice(_SHIFT, _SIDE - _SHIFT)
    query, template = -1, np.empty(0, np.float32)
    # Pairs come sorted by b, so its template is made once.
    for place, (i, j) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        if j != query:
            image = second[j][:, ::-1] if mirrored else second[j]
            query, template = j, _without_slow(image)[inner, inner]
        if i not in filtered:
            filtered[i] = _without_slow(first[i])
        found = cv2.matchTemplate(filtered[i], template, cv2.TM_CCOEFF_NORMED)
        result[place] = found.max()
    return np.clip(np.nan_to_num(result), -1, 1)


def _without_slow(image: Images) -> NDArray[np.float32]:
    """Return an image without slow changes of gray and without the noise of encoders."""
    pixels = image.astype(np.float32)
    fast = cv2.GaussianBlur(pixels, (0, 0), 0.7) - cv2.GaussianBlur(pixels, (0, 0), 6)
    return np.asarray(fast, np.float32)
