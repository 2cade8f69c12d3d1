"""SqueezeNet 1.0 and 1.1, which the paper describes where it means SENet.

Iandola et al. 2016 (arXiv 1602.07360); 1.1 is the authors' cheaper second release. It ends as
published: a 1×1 convolution with one output a class, ReLU, and the mean of each map as its logit.
Parameters are named as in torchvision.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.models.heads import build_dropout
from mien.models.registry import Normalize, register
from mien.models.transfer import check_size, initialize_convolutions


class Fire(nn.Module):
    """A 1×1 convolution to few channels, then 1×1 and 3×3 convolutions side by side."""

    def __init__(self, width_in: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width_in, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width_in×H×W to N×2·expand×H×W."""
        x = F.relu(self.squeeze(x))
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))

    def describe(self) -> str:
        """Return what a diagram says of the module."""
        width = self.expand1x1.out_channels
        return f"1×1 {self.squeeze.out_channels} → (1×1 {width} ∥ 3×3 {width})"


FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""Squeezed and expanded width of fire2 to fire9."""


class SqueezeNet(nn.Module):
    """A convolution, eight fire modules with poolings between them, and the classifier.

    Args:
        channels: 1 or 3.
        classes: number of outputs.
        stem: width and kernel of the first convolution.
        pool_before: the numbers of the fire modules (2 to 9) that a pooling precedes.
        dropout: rate before the classifier's convolution.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        stem: tuple[int, int],
        pool_before: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(127.5, 64.0)
        width, kernel = stem
        layers: list[nn.Module] = [nn.Conv2d(channels, width, kernel, 2), nn.ReLU()]
        for number, (squeeze, expand) in enumerate(FIRES, start=2):
            if number in pool_before:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            layers.append(Fire(width, squeeze, expand))
            width = 2 * expand
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(width, classes, 1)
        self.classifier = nn.Sequential(build_dropout(dropout), last, nn.ReLU())
        initialize_convolutions(self)
        # As published: all logits start near zero, on either side of the ReLU.
        nn.init.normal_(last.weight, std=0.01)

    def embed(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to the means N×512 of the maps that are classified."""
        maps: Tensor = self.features(self.normalize(images))
        return maps.mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to logits N×classes, not negative."""
        maps: Tensor = self.classifier(self.features(self.normalize(images)))
        return maps.mean(dim=(2, 3))


SOURCE = "Iandola et al. 2016, arXiv 1602.07360"


@register("squeezenet1_0", summary="SqueezeNet 1.0", source=SOURCE, size=224)
def squeezenet1_0(*, size: int, channels: int, classes: int, dropout: float = 0.5) -> nn.Module:
    """Build SqueezeNet 1.0 for any size from 48 up; `dropout` stands before its classifier."""
    check_size(size)
    return SqueezeNet(channels, classes, (96, 7), (2, 5, 9), dropout)


@register("squeezenet1_1", summary="SqueezeNet 1.1, 2.4 times cheaper", source=SOURCE, size=224)
def squeezenet1_1(*, size: int, channels: int, classes: int, dropout: float = 0.5) -> nn.Module:
    """Build SqueezeNet 1.1 for any size from 48 up; `dropout` stands before its classifier."""
    check_size(size)
    return SqueezeNet(channels, classes, (64, 3), (2, 4, 6), dropout)
