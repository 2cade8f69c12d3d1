"""A pre-activation residual network with squeeze-and-excitation, sized for 48×48 faces.

He et al. 2016b (arXiv 1603.05027): batch normalization and ReLU stand before the convolutions, so
that nothing interrupts the shortcut; where a block changes the shape, its shortcut leaves behind
the first ReLU. Hu et al. 2018 (arXiv 1709.01507): the residual branch ends in a gate. The first
convolution already halves the resolution, since large maps are what costs a CPU its time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import MienError
from mien.models.pooled import PooledNetwork, drop_path, stages
from mien.models.registry import register
from mien.models.senet50 import SqueezeExcitation
from mien.models.transfer import initialize_convolutions


class PreActivationBlock(nn.Module):
    """Twice normalization, ReLU and a 3×3 convolution, then a gate, beside a shortcut."""

    def __init__(self, width_in: int, width: int, stride: int, reduction: int, rate: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.gate = SqueezeExcitation(width, reduction)
        self.rate = rate
        self.shortcut: nn.Module | None = None
        if stride != 1 or width_in != width:
            # Pooling before the 1×1 convolution uses every pixel (He et al. 2019, ResNet-D);
            # rounded up, as the 3×3 convolution rounds odd sides.
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(width_in, width, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width_in×H×W to N×width×H/stride×W/stride."""
        activated = F.relu(self.norm1(x))
        if self.shortcut is not None:
            x = self.shortcut(activated)
        y = self.conv2(F.relu(self.norm2(self.conv1(activated))))
        return x + drop_path(self.gate(y), self.rate, self.training)

    def describe(self) -> str:
        """Return what a diagram says of the block."""
        width = self.conv1.out_channels
        return f"3×3 {width} → 3×3 {width} → squeeze-excitation + shortcut"


@register(
    "se_preresnet",
    summary="a small pre-activation residual network with squeeze-and-excitation",
    source="He et al. 2016b, arXiv 1603.05027; Hu et al. 2018, arXiv 1709.01507",
)
def se_preresnet(
    *,
    size: int,
    channels: int,
    classes: int,
    widths: Sequence[int] = (32, 64, 128, 256),
    depths: Sequence[int] = (2, 3, 3, 2),
    reduction: int = 8,
    drop_path: float = 0.0,
    dropout: float = 0.0,
) -> nn.Module:
    """Build a pre-activation SE-ResNet; each stage but the first halves the resolution.

    Args:
        size: side of the input in pixels; not used, the network pools globally.
        channels: 1 or 3.
        classes: number of outputs.
        widths: channels of the stages; at least `reduction`.
        depths: residual blocks of the stages.
        reduction: how many times narrower the gates are within.
        drop_path: rate of stochastic depth of the last block; see `pooled.stages`.
        dropout: rate before the last layer.

    Raises:
        MienError: the reduction does not fit the widths.
    """
    plan = stages(widths, depths, drop_path)
    if not 1 <= reduction <= min(widths):
        raise MienError(f"reduction is from 1 to the least width, not {reduction} for {[*widths]}")
    backbone: OrderedDict[str, nn.Module] = OrderedDict()
    backbone["stem"] = nn.Conv2d(channels, widths[0], 3, stride=2, padding=1, bias=False)
    for stage in plan:
        blocks = [
            PreActivationBlock(width_in, stage.width, stride, reduction, rate)
            for width_in, stride, rate in stage.blocks()
        ]
        backbone[stage.name] = nn.Sequential(*blocks)
    backbone["norm"] = nn.BatchNorm2d(widths[-1])
    backbone["relu"] = nn.ReLU()
    network = PooledNetwork(nn.Sequential(backbone), widths[-1], classes, dropout)
    initialize_convolutions(network)
    return network
