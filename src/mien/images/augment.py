"""Batched augmentation on the device: parameters are drawn first and then applied.

The geometric part follows Keras's `ImageDataGenerator`, which the paper used: rotation, shifts and
zoom about the centre, drawn uniformly, one interpolation for all of them, borders repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F


class Augmentation(BaseModel):
    """How far a training image may be changed; zero and False change nothing.

    Attributes:
        rotation: largest angle in degrees, either way.
        shift: largest shift as a fraction of the side, each axis, either way.
        zoom: largest change of scale, each axis: 0.1 draws from 0.9 to 1.1.
        shear: largest shear as a fraction of the side, either way.
        elastic: largest local shift as a fraction of the side, each axis, either way: smooth
            random distortions (Simard et al. 2003), drawn here on a grid of 5×5 points.
        flip: mirror half of the images.
        brightness: largest change of brightness as a fraction of 255, either way.
        contrast: largest change of contrast: 0.2 draws from 0.8 to 1.2.
        erase: probability that a rectangle is replaced by noise (Zhong et al. 2020,
            'random erasing': 2 % to 25 % of the area here, aspect ratio 0.3 to 3.3).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation: float = Field(0.0, ge=0, le=180)
    shift: float = Field(0.0, ge=0, le=1)
    zoom: float = Field(0.0, ge=0, lt=1)
    shear: float = Field(0.0, ge=0, le=1)
    elastic: float = Field(0.0, ge=0, le=1)
    flip: bool = False
    brightness: float = Field(0.0, ge=0, le=1)
    contrast: float = Field(0.0, ge=0, le=1)
    erase: float = Field(0.0, ge=0, le=1)


_BEND = 5


@dataclass(frozen=True)
class Drawn:
    """Parameters drawn for a batch of N images; each field is float32.

    Attributes:
        affine: N×2×3, from output to input coordinates in the range −1 to 1.
        gain: N×1×1×1, factor about the mean.
        offset: N×1×1×1, gray levels.
        boxes: N×4, left, top, right, bottom of the erased rectangle as fractions; empty where
            right is not greater than left. None erases nothing.
        bend: N×2×5×5, local shifts, in the coordinates of `affine`; None bends nothing.
    """

    affine: Tensor
    gain: Tensor
    offset: Tensor
    boxes: Tensor | None = None
    bend: Tensor | None = None


def draw(count: int, augmentation: Augmentation, generator: torch.Generator) -> Drawn:
    """Draw the parameters for `count` images on the generator's device."""
    device = generator.device

    def uniform(limit: float) -> Tensor:
        return (torch.rand(count, generator=generator, device=device) * 2 - 1) * limit

    angle = uniform(math.radians(augmentation.rotation))
    shift_x, shift_y = uniform(2 * augmentation.shift), uniform(2 * augmentation.shift)
    zoom_x, zoom_y = 1 + uniform(augmentation.zoom), 1 + uniform(augmentation.zoom)
    shear = uniform(augmentation.shear)
    mirror = torch.ones(count, device=device)
    if augmentation.flip:
        mirror = 1 - 2 * torch.randint(2, (count,), generator=generator, device=device).float()
    cos, sin = torch.cos(angle), torch.sin(angle)
    affine = torch.stack(
        [
            torch.stack([cos * zoom_x * mirror, (shear - sin) * zoom_y, shift_x], dim=1),
            torch.stack([sin * zoom_x * mirror, cos * zoom_y, shift_y], dim=1),
        ],
        dim=1,
    )
    gain = 1 + uniform(augmentation.contrast).reshape(-1, 1, 1, 1)
    offset = uniform(255 * augmentation.brightness).reshape(-1, 1, 1, 1)
    boxes = _draw_boxes(count, augmentation.erase, generator) if augmentation.erase else None
    bend = None
    if augmentation.elastic:
        points = torch.rand(count, 2, _BEND, _BEND, generator=generator, device=device)
        bend = (points * 2 - 1) * 2 * augmentation.elastic
    return Drawn(affine, gain, offset, boxes, bend)


def _draw_boxes(count: int, probability: float, generator: torch.Generator) -> Tensor:
    device = generator.device
    random = torch.rand(5, count, generator=generator, device=device)
    area = 0.02 + random[0] * (0.25 - 0.02)
    aspect = torch.exp((random[1] * 2 - 1) * math.log(3.3))
    width = (area * aspect).sqrt().clamp(max=1)
    height = (area / aspect).sqrt().clamp(max=1)
    left, top = random[2] * (1 - width), random[3] * (1 - height)
    erased = (random[4] < probability).float()
    return torch.stack([left, top, left + width * erased, top + height * erased], dim=1)


def apply(images: Tensor, drawn: Drawn, generator: torch.Generator) -> Tensor:
    """Apply drawn parameters to float32 N×C×H×W, values 0 to 255; returns the same shape and range.

    The generator draws the noise of erased rectangles.
    """
    grid = _grid(drawn, images.shape[2], images.shape[3])
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    center = images.mean(dim=(1, 2, 3), keepdim=True)
    images = ((images - center) * drawn.gain + center + drawn.offset).clamp(0, 255)
    return images if drawn.boxes is None else _erase(images, drawn.boxes, generator)


def _grid(drawn: Drawn, height: int, width: int) -> Tensor:
    """Return where each pixel comes from, N×H×W×2.

    It is `F.affine_grid`'s, made of two planes: on a CPU that takes a tenth of the time.
    """
    device = drawn.affine.device
    x = (torch.arange(width, device=device) * 2 + 1) / width - 1
    y = (torch.arange(height, device=device) * 2 + 1) / height - 1
    along_x, along_y, shift = (drawn.affine[:, :, i].reshape(-1, 2, 1, 1) for i in range(3))
    planes = shift + along_x * x + along_y * y[:, None]  # N×2×H×W
    if drawn.bend is not None:
        planes = planes + F.interpolate(
            drawn.bend, (height, width), mode="bicubic", align_corners=True
        )
    return planes.permute(0, 2, 3, 1)


def _erase(images: Tensor, boxes: Tensor, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    x = (torch.arange(width, device=images.device) + 0.5) / width
    y = (torch.arange(height, device=images.device) + 0.5) / height
    left, top, right, bottom = (boxes[:, i].reshape(count, 1) for i in range(4))
    inside = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None, :]
    noise = torch.rand(images.shape, generator=generator, device=images.device) * 255
    return torch.where(inside[:, None], noise, images)


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw and apply: float32 N×C×H×W, values 0 to 255, to the same shape and range."""
    return apply(images, draw(len(images), augmentation, generator), generator)
