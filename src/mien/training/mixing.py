"""Mixup and CutMix: two images and their targets made one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def mix(
    images: Tensor, targets: Tensor, mixup: float, cutmix: float, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mix a batch with itself in reverse order; batches are in random order already.

    Where both are asked for, each batch gets one of them, drawn evenly. One share is drawn for the
    batch: from Beta(mixup, mixup), Zhang et al. 2018, arXiv 1710.09412; or from Beta(cutmix,
    cutmix), Yun et al. 2019, arXiv 1905.04899, as the area of a rectangle, which is then clipped
    at the border.

    Args:
        images: float32, N×C×H×W.
        targets: float32 shares, N×7.
        mixup: mixup's alpha, 0 is off.
        cutmix: CutMix's alpha, 0 is off.
        random: draws all.

    Returns:
        Images and targets of the same shapes; the arguments stay as they are.
    """
    if not mixup and not cutmix:
        return images, targets
    cut = bool(cutmix) and (not mixup or random.random() < 0.5)
    alpha = cutmix if cut else mixup
    share = float(random.beta(alpha, alpha))
    if not cut:
        mixed = torch.lerp(images.flip(0), images, share)
    else:
        height, width = images.shape[2:]
        top, bottom = _side(height, share, random)
        left, right = _side(width, share, random)
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = images.flip(0)[:, :, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, torch.lerp(targets.flip(0), targets, share)


def _side(length: int, share: float, random: np.random.Generator) -> tuple[int, int]:
    """Return start and end of a rectangle's side whose square would leave `share` of an area."""
    half = length * (1 - share) ** 0.5 / 2
    center = random.random() * length
    return max(0, round(center - half)), min(length, round(center + half))
