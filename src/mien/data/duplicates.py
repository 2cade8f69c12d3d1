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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
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
# Pairs that are looked at together: their filtered images are 40 MB.
_CHUNK = 4096
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


@dataclass(frozen=True)
class Prepared:
    """Images made ready for `find_pairs`; equal ones are described once.

    Attributes:
        groups: the places of equal images; a group for each different image, in order.
        digests: one for each group; equal where the images are equal in every pixel.
        gray: uint8, G×48×48, the first image of each group.
        descriptors: float32, G×144.
    """

    groups: list[list[int]]
    digests: list[bytes]
    gray: Images
    descriptors: NDArray[np.float32]


def prepare(images: Images) -> Prepared:
    """Prepare uint8 N×H×W or N×H×W×3 (RGB) images that are compared several times."""
    groups: dict[bytes, list[int]] = {}
    for place, image in enumerate(images):
        groups.setdefault(_digest(image), []).append(place)
    gray = as_gray(images)[[places[0] for places in groups.values()]]
    return Prepared(list(groups.values()), list(groups), gray, _descriptors(gray))


def find_pairs(
    first: Images | Prepared,
    second: Images | Prepared | None = None,
    *,
    threshold: float = THRESHOLD,
    progress: Progress = silent,
) -> Pairs:
    """Find the images of `second` that occur in `first`, exactly or nearly.

    Of images that are equal in every pixel, blank ones as well, not every combination is listed,
    which would be quadratic in their number: where k equal images of `first` show the same as m
    equal ones of `second`, the first of the k is paired with each of the m, and each of the k with
    the first of the m. So each image with a duplicate is in a pair.

    Args:
        first: uint8, N×H×W or N×H×W×3 (RGB), or what `prepare` made of them.
        second: uint8, M×H×W or M×H×W×3 of any size, or prepared; None compares `first` with
            itself, with the earlier image of a pair as its first; equal images are paired with
            the first of them.
        threshold: the lowest correlation, 0.8 to 1: pairs that are less alike are never looked at.
        progress: is told how many different images of `second` were compared.

    Raises:
        MienError: the threshold is another.
    """
    if not _CANDIDATE <= threshold <= 1:
        raise MienError(
            f"the threshold of near duplicates is {threshold}, not {_CANDIDATE} to 1",
            hint="pairs that are less alike are not looked at",
        )
    keys = first if isinstance(first, Prepared) else prepare(first)
    itself = second is None
    queries = keys if second is None else second
    queries = queries if isinstance(queries, Prepared) else prepare(queries)
    found: dict[tuple[int, int], tuple[float, bool, bool]] = {}
    count = len(queries.groups)
    for start in range(0, count, _BLOCK):
        for mirrored in (False, True):
            for a, b in _candidates(keys, queries, start, mirrored, itself):
                alike = _correlations(keys.gray, queries.gray, a, b, mirrored)
                for i, j, value in zip(a.tolist(), b.tolist(), alike.tolist(), strict=True):
                    if value >= max(threshold, found.get((i, j), (0.0,))[0]):
                        found[i, j] = (value, mirrored, False)
        progress(min(start + _BLOCK, count), count)
    places = {digest: place for place, digest in enumerate(keys.digests)}
    for place, digest in enumerate(queries.digests):
        if digest in places:
            found[places[digest], place] = (1.0, False, True)
    return _listed(found, keys, queries, itself)


def _candidates(
    keys: Prepared, queries: Prepared, start: int, mirrored: bool, itself: bool
) -> Iterator[tuple[Indices, Indices]]:
    """Give the groups that are alike at 12×12 pixels, sorted by query, in bounded chunks."""
    block = _flipped(queries.descriptors[start : start + _BLOCK], mirrored)
    alike = block @ keys.descriptors.T > _CANDIDATE
    for row, line in enumerate(alike, start=start):
        columns = np.flatnonzero(line[:row] if itself else line)
        for chunk in range(0, len(columns), _CHUNK):
            part = columns[chunk : chunk + _CHUNK]
            yield part, np.full(len(part), row)


def _listed(
    found: Mapping[tuple[int, int], tuple[float, bool, bool]],
    keys: Prepared,
    queries: Prepared,
    itself: bool,
) -> Pairs:
    """Return the pairs of images for pairs of groups, as `find_pairs` describes it."""
    pairs: dict[tuple[int, int], tuple[float, bool, bool]] = {}
    for (i, j), value in found.items():
        ours, theirs = keys.groups[i], queries.groups[j]
        for pair in [(ours[0], b) for b in theirs] + [(a, theirs[0]) for a in ours]:
            if not itself:
                pairs[pair] = value
            elif pair[0] != pair[1]:
                pairs[min(pair), max(pair)] = value
    order = sorted(pairs)
    return Pairs(
        np.array([a for a, _ in order], np.intp),
        np.array([b for _, b in order], np.intp),
        np.array([pairs[pair][0] for pair in order], np.float32),
        np.array([pairs[pair][1] for pair in order], np.bool_),
        np.array([pairs[pair][2] for pair in order], np.bool_),
    )


def _digest(image: Images) -> bytes:
    content = np.ascontiguousarray(image)
    return hashlib.blake2b(content.data, digest_size=16).digest() + bytes(str(image.shape), "ascii")


def as_gray(images: Images) -> Images:
    """Return uint8 N×H×W or N×H×W×3 (RGB) images as uint8 N×48×48."""
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
