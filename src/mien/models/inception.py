"""A small Inception network for 48×48 faces.

Blocks of four branches as in Szegedy et al. 2015 (arXiv 1409.4842), with two 3×3 convolutions in
place of a 5×5, batch normalization, and the grid reduced by a convolution beside a pooling, as in
Szegedy et al. 2016 (arXiv 1512.00567, figures 5 and 10). Pramerdorfer & Kampel 2016 (arXiv
1612.02903) have such a network in their ensemble for FER2013; this one is sized for a CPU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mien.errors import MienError
from mien.models.pooled import PooledNetwork, conv_norm_relu, stages
from mien.models.registry import register
from mien.models.transfer import initialize_convolutions


class InceptionBlock(nn.Module):
    """Four branches side by side; of eight parts of the output they give 2, 3, 2 and 1."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        part = width // 8
        self.width = width
        self.point = conv_norm_relu(width_in, 2 * part, 1)
        self.small = nn.Sequential(
            conv_norm_relu(width_in, 2 * part, 1), conv_norm_relu(2 * part, 3 * part, 3)
        )
        self.large = nn.Sequential(
            conv_norm_relu(width_in, part, 1),
            conv_norm_relu(part, 2 * part, 3),
            conv_norm_relu(2 * part, 2 * part, 3),
        )
        self.pooled = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), conv_norm_relu(width_in, part, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width_in×H×W to N×width×H×W."""
        return torch.cat([self.point(x), self.small(x), self.large(x), self.pooled(x)], dim=1)

    def describe(self) -> str:
        """Return what a diagram says of the block."""
        part = self.width // 8
        return (
            f"1×1 {2 * part} ∥ 1×1 {2 * part} → 3×3 {3 * part} ∥ "
            f"1×1 {part} → 3×3 {2 * part} → 3×3 {2 * part} ∥ max pooling → 1×1 {part}"
        )


class Reduction(nn.Module):
    """Halves the resolution by a convolution beside a pooling, which widen the maps together."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv = conv_norm_relu(width_in, width - width_in, 3, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.kept = width_in

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width_in×H×W to N×width×H/2×W/2."""
        return torch.cat([self.conv(x), self.pool(x)], dim=1)

    def describe(self) -> str:
        """Return what a diagram says of it."""
        return f"3×3 {self.conv[0].out_channels}, stride 2 ∥ max pooling {self.kept}, stride 2"


@register(
    "inception",
    summary="a small Inception network with batch normalization",
    source="Szegedy et al. 2015, arXiv 1409.4842; Szegedy et al. 2016, arXiv 1512.00567",
)
def inception(
    *,
    size: int,
    channels: int,
    classes: int,
    widths: Sequence[int] = (96, 192, 384),
    depths: Sequence[int] = (2, 3, 2),
    dropout: float = 0.0,
) -> nn.Module:
    """Build a small Inception network; its stem halves the resolution, and so do its reductions.

    Args:
        size: side of the input in pixels; not used, the network pools globally.
        channels: 1 or 3.
        classes: number of outputs.
        widths: channels of the stages, multiples of 8, each wider than the one before.
        depths: Inception blocks of the stages.
        dropout: rate before the last layer.

    Raises:
        MienError: the widths are others.
    """
    plan = stages(widths, depths)
    if any(width % 8 for width in widths) or sorted(set(widths)) != list(widths):
        raise MienError(f"an Inception's widths are growing multiples of 8, not {[*widths]}")
    backbone: OrderedDict[str, nn.Module] = OrderedDict()
    stem = widths[0] // 2
    backbone["stem"] = nn.Sequential(
        *conv_norm_relu(channels, stem, 3, stride=2), *conv_norm_relu(stem, widths[0], 3)
    )
    for stage in plan:
        if stage.name != "stage1":
            backbone[f"before_{stage.name}"] = Reduction(stage.width_in, stage.width)
        blocks = [InceptionBlock(stage.width, stage.width) for _ in stage.rates]
        backbone[stage.name] = nn.Sequential(*blocks)
    network = PooledNetwork(nn.Sequential(backbone), widths[-1], classes, dropout)
    initialize_convolutions(network)
    return network
