"""A RepVGG for fast inference: branches in training, plain 3×3 convolutions afterwards.

Ding et al. 2021 (arXiv 2101.03697). In training a block sums a 3×3 convolution, a 1×1 convolution
and, where the shape stays, its input, each with its own batch normalization; for inference
`mien.models.folding.fold` makes one 3×3 convolution of them. As in `foldnet`, 2×2 pixels are first
folded into channels, where the published networks start with a stride of 2.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.models.pooled import PooledNetwork, stages
from mien.models.registry import register
from mien.models.transfer import initialize_convolutions


class RepVGGBlock(nn.Module):
    """A 3×3 convolution, a 1×1 convolution and the input, normalized, summed; then ReLU."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv3 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width_in, width, 1, stride, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        same = stride == 1 and width_in == width
        self.norm0 = nn.BatchNorm2d(width) if same else None

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width_in×H×W to N×width×H/stride×W/stride, not negative."""
        y = self.norm3(self.conv3(x)) + self.norm1(self.conv1(x))
        if self.norm0 is not None:
            y = y + self.norm0(x)
        return F.relu(y)

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """Return the one convolution and ReLU that compute what the block does in inference."""
        kernel, bias = _scaled(self.conv3.weight, self.norm3)
        for weight, norm in self._points():
            point, shift = _scaled(weight, norm)
            # A 1×1 convolution is a 3×3 one of which only the middle is not zero.
            kernel, bias = kernel + F.pad(point, (1, 1, 1, 1)), bias + shift
        width, width_in = self.conv3.weight.shape[:2]
        stride, device = self.conv3.stride[0], kernel.device
        conv = nn.Conv2d(width_in, width, 3, stride, padding=1, device=device)
        conv.weight.copy_(kernel)
        assert conv.bias is not None
        conv.bias.copy_(bias)
        return nn.Sequential(conv, nn.ReLU())

    def _points(self) -> list[tuple[Tensor, nn.BatchNorm2d]]:
        """Return the branches without surroundings as 1×1 kernels and their normalizations."""
        points = [(self.conv1.weight, self.norm1)]
        if self.norm0 is not None:
            identity = torch.eye(self.norm0.num_features, device=self.conv1.weight.device)
            points.append((identity[:, :, None, None], self.norm0))
        return points

    def describe(self) -> str:
        """Return what a diagram says of the block."""
        width = self.conv3.out_channels
        stride = ", stride 2" if self.conv3.stride[0] == 2 else ""
        identity = "" if self.norm0 is None else " ∥ identity"
        return f"sum of 3×3 {width} ∥ 1×1 {width}{identity}{stride}"


def _scaled(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the kernel and bias of a convolution and its normalization in one, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = norm.bias.double() - norm.running_mean.double() * factor
    return weight.double() * factor[:, None, None, None], bias


@register(
    "repvgg",
    summary="a small RepVGG: branches in training, plain and fast afterwards",
    source="Ding et al. 2021, arXiv 2101.03697",
)
def repvgg(
    *,
    size: int,
    channels: int,
    classes: int,
    widths: Sequence[int] = (32, 64, 96, 160),
    depths: Sequence[int] = (1, 2, 2, 2),
    dropout: float = 0.0,
) -> nn.Module:
    """Build a RepVGG in the form that is trained; each stage but the first halves the resolution.

    Args:
        size: side of the input in pixels, a multiple of 2; the network pools globally.
        channels: 1 or 3.
        classes: number of outputs.
        widths: channels of the stages.
        depths: blocks of the stages; one more stands before the first.
        dropout: rate before the last layer.
    """
    plan = stages(widths, depths)
    backbone: OrderedDict[str, nn.Module] = OrderedDict()
    backbone["unshuffle"] = nn.PixelUnshuffle(2)
    backbone["stem"] = RepVGGBlock(4 * channels, widths[0], 1)
    for stage in plan:
        blocks = [
            RepVGGBlock(width_in, stage.width, stride) for width_in, stride, _ in stage.blocks()
        ]
        backbone[stage.name] = nn.Sequential(*blocks)
    network = PooledNetwork(nn.Sequential(backbone), widths[-1], classes, dropout)
    initialize_convolutions(network)
    return network
