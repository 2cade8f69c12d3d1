"""FoldNet: a small residual network of our own for 48×48 faces on CPUs.

Most of a CPU's time in a residual network goes to the first, large feature maps. FoldNet folds 2×2
pixels into channels first (space-to-depth; Shi et al. 2016 name the reverse pixel shuffle), so that
nothing is lost and the first convolution already runs at half the resolution. Behind it stand
basic residual blocks (He et al. 2016) whose last normalization starts at zero (Goyal et al. 2017),
global average pooling and one linear layer, so any size that is a multiple of 8 can be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from mien.models.registry import Normalize, register


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut; the first may halve the resolution."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width:
            # Pooling before the 1×1 convolution uses every pixel (He et al. 2019, ResNet-D).
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride) if stride != 1 else nn.Identity(),
                nn.Conv2d(width_in, width, 1, bias=False),
                nn.BatchNorm2d(width),
            )
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width_in×H×W to N×width×H/stride×W/stride."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))

    def describe(self) -> str:
        """Return what a diagram says of the block."""
        width = self.conv1.out_channels
        return f"3×3 {width} → 3×3 {width} + shortcut"


class FoldNet(nn.Module):
    """Fold, stem, three stages at 1/2, 1/4 and 1/8 of the resolution, pooling, one linear layer."""

    def __init__(
        self,
        channels: int,
        classes: int,
        widths: Sequence[int],
        depths: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(127.5, 64.0)
        self.fold = nn.PixelUnshuffle(2)
        self.stem = nn.Sequential(
            nn.Conv2d(4 * channels, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        blocks: list[nn.Module] = []
        for index, (width_in, width) in enumerate(pairwise([widths[0], *widths])):
            for depth in range(depths[index]):
                first = depth == 0
                stride = 2 if first and index > 0 else 1
                blocks.append(Block(width_in if first else width, width, stride))
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def embed(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to the features N×w2 before the dropout."""
        x = self.stem(self.fold(self.normalize(images)))  # N×w0×H/2×W/2
        x = self.blocks(x)  # N×w2×H/8×W/8
        features: Tensor = x.mean(dim=(2, 3))
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Map what `embed` gives to logits N×classes."""
        logits: Tensor = self.head(self.dropout(features))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to logits N×classes."""
        return self.classify(self.embed(images))


@register("foldnet", summary="a small residual network for CPUs", source="mien")
def foldnet(
    *,
    size: int,
    channels: int,
    classes: int,
    widths: Sequence[int] = (48, 96, 192),
    depths: Sequence[int] = (1, 2, 2),
    dropout: float = 0.0,
) -> nn.Module:
    """Build a FoldNet; `size` only has to be a multiple of 8.

    Args:
        size: side of the input in pixels; not used, the network pools globally.
        channels: 1 or 3.
        classes: number of outputs.
        widths: channels of the three stages.
        depths: residual blocks of the three stages.
        dropout: rate before the last layer.
    """
    return FoldNet(channels, classes, widths, depths, dropout)
