"""The filters on tensors, for training: batched where the batch is, without leaving the device.

They agree with `mien.images.filters` within one gray level. Where a rule is a matter of one level
more or less (the unsharp mask's threshold, CLAHE's histograms), the arithmetic is that of the
exact filter, integers or float64, so the rule is decided the same way. None of them uses a
matrix product or a convolution, whose precision autocast and TF32 would lower.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from mien.images import clahe as exact
from mien.images.filters import MID_GRAY, gaussian_kernel, options_of
from mien.images.preprocessing import FilterSpec


def device_filter(spec: FilterSpec) -> Callable[[Tensor], Tensor]:
    """Return a filter of tensors.

    It takes float32 N×C×H×W with values 0 to 255, C being 1 or 3, on any device that has float64,
    rounds them to whole gray levels, and returns whole gray levels in the same form. Nothing waits
    for the device but `clahe`, which spreads what its limit cuts off in as many rounds as the
    images need.
    """
    options = {**options_of(spec.name), **spec.options}
    function = functools.partial(_FILTERS[spec.name], **options)

    def apply(images: Tensor) -> Tensor:
        if not images.numel():
            return images
        return function(images.round().clamp(0, 255))

    return apply


def _unsharp_mask(images: Tensor, *, radius: float, percent: float, threshold: float) -> Tensor:
    levels = images.int() - 128
    blurred = levels
    for _ in range(2):
        # Three box blurs along the rows, then along the columns.
        for _ in range(3):
            blurred = _extended_box_blur(blurred, *_box_weights(radius))
        blurred = blurred.transpose(-1, -2)
    difference = levels - blurred
    added = torch.div(difference * int(percent), 100, rounding_mode="trunc")
    added = torch.where(difference.abs() > int(threshold), added, 0)
    return (images + added).clamp(0, 255)


@functools.lru_cache(maxsize=16)
def _box_weights(radius: float) -> tuple[int, int, int]:
    """Return the box blur, three of which make Pillow's Gaussian of a radius.

    Returns:
        The pixels with full weight to either side, that weight, and the weight of the one pixel
        beyond them, in units of 2⁻²⁴; all as Pillow computes them, in single precision. Gwosdek
        et al., "Theoretical foundations of Gaussian convolution by extended box filtering", 2011.
    """
    one = np.float32(1)
    variance = np.float32(radius) * np.float32(radius) / np.float32(3)
    width = np.float32(math.sqrt(12.0 * float(variance) + 1.0))
    full = np.float32(math.floor((float(width) - 1.0) / 2.0))
    part = (2 * full + one) * (full * (full + one) - 3 * variance)
    part /= 6 * (variance - (full + one) * (full + one))
    box = full + part
    reach = int(box)
    weight = int(np.float32(1 << 24) / (box * 2 + one))
    return reach, weight, ((1 << 24) - (2 * reach + 1) * weight) // 2


def _extended_box_blur(levels: Tensor, reach: int, weight: int, edge_weight: int) -> Tensor:
    """Blur int32 along the last axis, rounded; levels from -128 to 127, so that nothing overflows.

    The weights add up to 2²⁴ or one less; in the latter case shifted levels need a correction.
    """
    size = levels.shape[-1]
    before = levels[..., :1].expand(*levels.shape[:-1], reach + 1)
    behind = levels[..., -1:].expand(*levels.shape[:-1], reach + 1)
    line = torch.cat([before, levels, behind], dim=-1)
    sums = line.cumsum(dim=-1, dtype=torch.int32)
    box = sums[..., 2 * reach + 1 : 2 * reach + 1 + size] - sums[..., :size]
    edges = line[..., :size] + line[..., 2 * reach + 2 :]
    missing = (1 << 24) - (2 * reach + 1) * weight - 2 * edge_weight
    return (box * weight + edges * edge_weight + ((1 << 23) - 128 * missing)) >> 24


def _equalize_hist(images: Tensor) -> Tensor:
    levels = images.flatten(1).long()
    # `len` would fix the batch's size in an exported graph.
    counts = torch.zeros(levels.shape[0], 256, dtype=torch.int32, device=images.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels, dtype=torch.int32))
    table = (255 * counts.cumsum(dim=1).double() / levels.shape[1]).round().float()
    return table.gather(1, levels).reshape(images.shape)


def _smooth(images: Tensor, sigma: float) -> Tensor:
    kernel = gaussian_kernel(sigma).tolist()
    size = images.shape[-2:]
    padded = _repeat_edges(images, len(kernel) // 2)
    rows = sum(weight * padded[..., i : i + size[0], :] for i, weight in enumerate(kernel))
    assert isinstance(rows, Tensor)
    smooth = sum(weight * rows[..., i : i + size[1]] for i, weight in enumerate(kernel))
    assert isinstance(smooth, Tensor)
    return smooth


def _gaussian(images: Tensor, *, sigma: float) -> Tensor:
    return _smooth(images, sigma).round()


def _high_pass(images: Tensor, *, sigma: float, amount: float, keep: float) -> Tensor:
    detail = images - _smooth(images, sigma)
    return (keep * images + (1 - keep) * MID_GRAY + amount * detail).round().clamp(0, 255)


def _median(images: Tensor, *, size: float) -> Tensor:
    side = int(size)
    height, width = images.shape[-2:]
    padded = _repeat_edges(images.byte(), side // 2)
    squares = torch.stack(
        [
            padded[..., i : i + height, j : j + width]
            for i, j in itertools.product(range(side), repeat=2)
        ]
    )
    # `median` and `kthvalue` have no deterministic form on CUDA; `sort` has.
    return squares.sort(dim=0).values[side * side // 2].float()


def _repeat_edges(images: Tensor, reach: int) -> Tensor:
    """Continue the last two axes by repeating their first and last pixels."""
    height, width = images.shape[-2:]
    y = torch.arange(-reach, height + reach, device=images.device).clamp(0, height - 1)
    x = torch.arange(-reach, width + reach, device=images.device).clamp(0, width - 1)
    return images[..., y[:, None], x]


def _clahe(images: Tensor, *, clip_limit: float, kernel_size: float | None) -> Tensor:
    value = images.amax(dim=1)
    new = _clahe_gray(value, clip_limit, None if kernel_size is None else int(kernel_size))
    if images.shape[1] == 1:
        return (255 * new).round().float()[:, None]
    value = value[:, None].double()
    ratio = torch.where(value > 0, images / value.clamp(min=1), 1)
    return (255 * (ratio * new[:, None])).round().float()


def _adaptive_equalize(images: Tensor, *, kernel_size: float | None) -> Tensor:
    return _clahe(images, clip_limit=1.0, kernel_size=kernel_size)


def _clahe_gray(images: Tensor, clip_limit: float, kernel_size: int | None) -> Tensor:
    """Return CLAHE of N×H×W as float64 of that shape from 0 to 1; see `mien.images.clahe`."""
    count, height, width = images.shape
    rows = _axis(height, kernel_size, images.device)
    columns = _axis(width, kernel_size, images.device)
    tiles = count * rows.tiles * columns.tiles
    pixels = rows.length * columns.length

    levels, span = _stretch(images.double())
    levels = torch.where(
        span > 0,
        (levels * (exact.LEVELS - 1)).round(),
        (257.0 * images).clamp(max=exact.LEVELS - 1),
    )
    bins = levels.long() // exact.BIN_LEVELS
    tiled = bins[:, rows.source[:, None], columns.source].reshape(
        count, rows.tiles, rows.length, columns.tiles, columns.length
    )
    tiled = tiled.transpose(2, 3).reshape(tiles, pixels)
    histograms = torch.zeros(tiles, exact.BINS, dtype=torch.int32, device=images.device)
    histograms.scatter_add_(1, tiled, torch.ones_like(tiled, dtype=torch.int32))
    limit = exact.count_limit(clip_limit, pixels)
    if limit < pixels:
        histograms = _clip(histograms, limit)
    maps = (histograms.cumsum(dim=1).double() * ((exact.LEVELS - 1) / pixels)).long()
    maps = maps.clamp(max=exact.LEVELS - 1).double()

    image = torch.arange(count, device=images.device)[:, None, None] * (rows.tiles * columns.tiles)
    result = torch.zeros(images.shape, device=images.device)
    for i, j in itertools.product(range(2), repeat=2):
        tile = rows.near[i][:, None] * columns.tiles + columns.near[j]
        weight = columns.weight[j] * rows.weight[i][:, None]
        mapped = maps.flatten()[(image + tile) * exact.BINS + bins]
        result = result + (mapped * weight).float()
    levels = result.floor().double()
    stretched, span = _stretch(levels)
    return torch.where(span > 0, stretched, levels.clamp(max=1))


def _stretch(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return float64 N×H×W stretched to 0 to 1 and each image's span; a span of 0 counts as 1."""
    darkest = images.amin(dim=(1, 2), keepdim=True)
    span = images.amax(dim=(1, 2), keepdim=True) - darkest
    return (images - darkest) / torch.where(span > 0, span, 1), span


class _Axis:
    """`mien.images.clahe.Axis` as tensors."""

    def __init__(self, axis: exact.Axis, device: torch.device) -> None:
        self.tiles, self.length = axis.tiles, axis.length
        self.source = torch.from_numpy(axis.source).to(device)
        self.near = torch.from_numpy(axis.near).to(device)
        self.weight = torch.from_numpy(axis.weight).to(device)


@functools.lru_cache(maxsize=16)
def _axis(size: int, kernel_size: int | None, device: torch.device) -> _Axis:
    return _Axis(exact.axis(size, kernel_size), device)


def _clip(histograms: Tensor, limit: int) -> Tensor:
    """Cut int32 tiles×256 off at a limit and spread what was cut over the other bins."""
    excess = (histograms - limit).clamp(min=0).sum(dim=1, dtype=torch.int32)
    histograms = histograms.clamp(max=limit)
    share = (excess // exact.BINS)[:, None]
    low = histograms < limit - share
    histograms = histograms + low * share
    excess = excess - low.sum(dim=1, dtype=torch.int32) * share[:, 0]
    middle = (histograms >= limit - share) & (histograms < limit)
    excess = excess - (middle * (limit - histograms)).sum(dim=1, dtype=torch.int32)
    histograms = torch.where(middle, limit, histograms)

    tiles = (excess > 0).nonzero()[:, 0]
    for first in itertools.cycle(range(exact.BINS)):
        if not len(tiles):
            break
        under = histograms[tiles] < limit
        step = (under.sum(dim=1, dtype=torch.int32) // excess[tiles]).clamp(min=1)
        raised = under & _combs(first, histograms.device)[step]
        histograms[tiles] += raised.int()
        excess[tiles] -= raised.sum(dim=1, dtype=torch.int32)
        tiles = tiles[(excess[tiles] > 0) & under.any(dim=1)]
    return histograms


@functools.lru_cache(maxsize=exact.BINS)
def _combs(first: int, device: torch.device) -> Tensor:
    return torch.from_numpy(exact.combs(first)).to(device)


_FILTERS: Mapping[str, Callable[..., Tensor]] = {
    "unsharp_mask": _unsharp_mask,
    "equalize_hist": _equalize_hist,
    "clahe": _clahe,
    "adaptive_equalize": _adaptive_equalize,
    "gaussian": _gaussian,
    "median": _median,
    "high_pass": _high_pass,
}
