"""A ConvNeXt for small images.

Liu et al. 2022 (arXiv 2201.03545): 7×7 convolutions of each channel by itself, layer normalization,
1×1 convolutions that widen four times, GELU, and a learned scale on the residual branch. Published
networks cut 224×224 images into patches of 4×4; 48×48 faces are cut into 2×2, and three stages
in place of four follow. The scale starts at 0.1, which Touvron et al. 2021 (arXiv 2103.17239) give
for networks as shallow as this one, in place of 10⁻⁶.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.models.pooled import PooledNetwork, drop_path, stages
from mien.models.registry import register

EPSILON = 1e-6
SCALE = 0.1


class ChannelNorm(nn.LayerNorm):
    """Layer normalization over the channels of every pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """Map N×C×H×W to the same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Scale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width, 1, 1), SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """Map N×C×H×W to the same shape."""
        return x * self.weight


class ConvNeXtBlock(nn.Module):
    """Each channel's surroundings, then all channels of each pixel, beside a shortcut."""

    def __init__(self, width: int, rate: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = ChannelNorm(width, eps=EPSILON)
        self.widen = nn.Conv2d(width, 4 * width, 1)
        self.narrow = nn.Conv2d(4 * width, width, 1)
        self.scale = Scale(width)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width×H×W to the same shape."""
        y = self.norm(self.depthwise(x))
        y = self.scale(self.narrow(F.gelu(self.widen(y))))
        return x + drop_path(y, self.rate, self.training)

    def describe(self) -> str:
        """Return what a diagram says of the block."""
        width = self.depthwise.out_channels
        return f"7×7 depthwise → 1×1 {4 * width} → 1×1 {width} + shortcut"


@register(
    "convnext",
    summary="a ConvNeXt for small images",
    source="Liu et al. 2022, arXiv 2201.03545",
)
def convnext(
    *,
    size: int,
    channels: int,
    classes: int,
    widths: Sequence[int] = (48, 96, 192),
    depths: Sequence[int] = (2, 2, 4),
    patch: int = 2,
    drop_path: float = 0.0,
    dropout: float = 0.0,
) -> nn.Module:
    """Build a ConvNeXt; each stage but the first halves the resolution of the patches.

    Args:
        size: side of the input in pixels; not used, the network pools globally.
        channels: 1 or 3.
        classes: number of outputs.
        widths: channels of the stages.
        depths: blocks of the stages.
        patch: side in pixels of the patches that images are cut into.
        drop_path: rate of stochastic depth of the last block; see `pooled.stages`.
        dropout: rate before the last layer.
    """
    plan = stages(widths, depths, drop_path)
    backbone: OrderedDict[str, nn.Module] = OrderedDict()
    backbone["stem"] = nn.Conv2d(channels, widths[0], patch, stride=patch)
    backbone["stem_norm"] = ChannelNorm(widths[0], eps=EPSILON)
    for stage in plan:
        if stage.name != "stage1":
            backbone[f"before_{stage.name}"] = nn.Sequential(
                ChannelNorm(stage.width_in, eps=EPSILON),
                nn.Conv2d(stage.width_in, stage.width, 2, stride=2),
            )
        blocks = [ConvNeXtBlock(stage.width, rate) for rate in stage.rates]
        backbone[stage.name] = nn.Sequential(*blocks)
    norm = nn.LayerNorm(widths[-1], eps=EPSILON)
    network = PooledNetwork(nn.Sequential(backbone), widths[-1], classes, dropout, norm)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
