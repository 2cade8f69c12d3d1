"""A small MobileNet of inverted residuals, for inference on CPUs.

Sandler et al. 2018 (arXiv 1801.04381): a block widens by a 1×1 convolution, looks about in each
channel by itself, and narrows again without an activation, beside a shortcut where the shape stays.
As in `foldnet`, 2×2 pixels are first folded into channels; ReLU stands in place of ReLU6, which
only serves arithmetic of few bits, and no 1×1 convolution widens the last maps.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from mien.errors import MienError
from mien.models.pooled import PooledNetwork, conv_norm_relu, drop_path, stages
from mien.models.registry import register
from mien.models.transfer import initialize_convolutions


class InvertedResidual(nn.Module):
    """1×1 to a larger width, 3×3 in each channel, 1×1 to the block's width."""

    def __init__(self, width_in: int, width: int, stride: int, expansion: int, rate: float) -> None:
        super().__init__()
        wide = expansion * width_in
        self.widen = conv_norm_relu(width_in, wide, 1)
        self.depthwise = conv_norm_relu(wide, wide, 3, stride, groups=wide)
        self.narrow = nn.Sequential(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width))
        self.residual = stride == 1 and width_in == width
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width_in×H×W to N×width×H/stride×W/stride."""
        y: Tensor = self.narrow(self.depthwise(self.widen(x)))
        return x + drop_path(y, self.rate, self.training) if self.residual else y

    def describe(self) -> str:
        """Return what a diagram says of the block."""
        wide, width = self.widen[0].out_channels, self.narrow[0].out_channels
        shortcut = " + shortcut" if self.residual else ""
        return f"1×1 {wide} → 3×3 depthwise → 1×1 {width}{shortcut}"


@register(
    "mobilenet",
    summary="a small MobileNet of inverted residuals, fast on CPUs",
    source="Sandler et al. 2018, arXiv 1801.04381",
)
def mobilenet(
    *,
    size: int,
    channels: int,
    classes: int,
    widths: Sequence[int] = (24, 48, 96, 160),
    depths: Sequence[int] = (1, 3, 4, 2),
    expansion: int = 4,
    drop_path: float = 0.0,
    dropout: float = 0.0,
) -> nn.Module:
    """Build a small MobileNet; each stage but the first halves the resolution.

    Args:
        size: side of the input in pixels, a multiple of 2; the network pools globally.
        channels: 1 or 3.
        classes: number of outputs.
        widths: channels of the stages.
        depths: blocks of the stages.
        expansion: how many times wider the blocks are within, from 1 up.
        drop_path: rate of stochastic depth of the last block; see `pooled.stages`.
        dropout: rate before the last layer.

    Raises:
        MienError: the expansion is less.
    """
    plan = stages(widths, depths, drop_path)
    if expansion < 1:
        raise MienError(f"expansion is a number from 1 up, not {expansion}")
    backbone: OrderedDict[str, nn.Module] = OrderedDict()
    backbone["unshuffle"] = nn.PixelUnshuffle(2)
    backbone["stem"] = conv_norm_relu(4 * channels, widths[0], 3)
    for stage in plan:
        blocks = [
            InvertedResidual(width_in, stage.width, stride, expansion, rate)
            for width_in, stride, rate in stage.blocks()
        ]
        backbone[stage.name] = nn.Sequential(*blocks)
    network = PooledNetwork(nn.Sequential(backbone), widths[-1], classes, dropout)
    initialize_convolutions(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            # A filter of its own for each channel meets that channel only, not all of them.
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    return network
