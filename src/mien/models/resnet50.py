"""ResNet-50 as it was trained on VGGFace2.

He et al. 2016 (arXiv 1512.03385) with the stride in the first 1×1 convolution of a block; faces:
Cao et al. 2018 (arXiv 1710.08092). The layers are named as in the authors' Caffe files, whose names
keras-vggface (Malli) keeps. Two releases of the weights differ in geometry:

- `keras`: keras-vggface 0.6, `rcmalli_vggface_tf_notop_resnet50.h5`. The first convolution pads as
  TensorFlow's "same", the pooling behind it does not pad, batch normalization has Keras's epsilon
  0.001. It ends in 7×7 average pooling: from 197 to 224 pixels, the mean of the whole map.
- `oxford`: the PyTorch definitions of the Oxford release (`resnet50_scratch`, `resnet50_ft`). The
  first convolution pads by three, the pooling rounds up as Caffe's, epsilon is 0.00001.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from mien.models.heads import build_head
from mien.models.registry import register
from mien.models.transfer import (
    Input,
    TransferNetwork,
    WeightsInput,
    check_size,
    initialize_convolutions,
    pick,
)

VGGFACE2 = WeightsInput(mean=(91.4953, 103.8827, 131.0912))
"""keras-vggface's `preprocess_input(version=2)`; the Oxford release lists the same means."""

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Width of the 3×3 convolutions, blocks and stride of the stages conv2 to conv5."""


@dataclass(frozen=True)
class Geometry:
    """In what two releases of the same network differ.

    Attributes:
        epsilon: of batch normalization.
        same: pad the first convolution as TensorFlow does; else by three on all sides.
        ceil: the first pooling rounds up the size of its map.
    """

    epsilon: float
    same: bool
    ceil: bool


GEOMETRIES = {
    "keras": Geometry(1e-3, same=True, ceil=False),
    "oxford": Geometry(1e-5, same=False, ceil=True),
}


class ConvNorm(nn.Module):
    """A convolution without bias and its batch normalization."""

    def __init__(
        self, width_in: int, width: int, kernel: int, stride: int, padding: int, epsilon: float
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, kernel, stride, padding, bias=False)
        # Keras's momentum 0.99; PyTorch counts it the other way round.
        self.norm = nn.BatchNorm2d(width, eps=epsilon, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalize N×width_in×H×W."""
        normalized: Tensor = self.norm(self.conv(x))
        return normalized


class Block(nn.Module):
    """1×1, 3×3 and 1×1 convolution beside a shortcut; `gate` weighs their output."""

    def __init__(
        self, width_in: int, width: int, stride: int, epsilon: float, gate: nn.Module
    ) -> None:
        super().__init__()
        self.reduce = ConvNorm(width_in, width, 1, stride, 0, epsilon)
        self.conv3x3 = ConvNorm(width, width, 3, 1, 1, epsilon)
        self.increase = ConvNorm(width, 4 * width, 1, 1, 0, epsilon)
        self.gate = gate
        self.proj: nn.Module = nn.Identity()
        if width_in != 4 * width:
            self.proj = ConvNorm(width_in, 4 * width, 1, stride, 0, epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width_in×H×W to N×4·width×⌈H/stride⌉×⌈W/stride⌉."""
        y = F.relu(self.reduce(x))
        y = F.relu(self.conv3x3(y))
        return F.relu(self.gate(self.increase(y)) + self.proj(x))

    def describe(self) -> str:
        """Return what a diagram says of the block."""
        width = self.reduce.conv.out_channels
        gated = any(self.gate.children())
        gate = " → squeeze-excitation" if gated else ""
        return f"1×1 {width} → 3×3 {width} → 1×1 {4 * width}{gate} + shortcut"

    def parts(self) -> dict[str, nn.Module]:
        """Return the parts that hold weights by the end of their published names."""
        parts: dict[str, nn.Module] = {
            "1x1_reduce": self.reduce,
            "3x3": self.conv3x3,
            "1x1_increase": self.increase,
        }
        if isinstance(self.proj, ConvNorm):
            parts["1x1_proj"] = self.proj
        return parts | {f"1x1_{name}": part for name, part in self.gate.named_children()}


class ResNet50(nn.Module):
    """The backbone: normalized N×channels×H×W to N×2048.

    Args:
        channels: of the first convolution.
        geometry: that of a release.
        gate: builds, from a number of channels, what weighs the output of a block before the sum.
    """

    width = 2048

    def __init__(
        self, channels: int, geometry: Geometry, gate: Callable[[int], nn.Module] = nn.Identity
    ) -> None:
        super().__init__()
        self.same = geometry.same
        self.conv1 = ConvNorm(channels, 64, 7, 2, 0 if geometry.same else 3, geometry.epsilon)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=geometry.ceil)
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        width_in = 64
        for stage, (width, count, stride) in enumerate(STAGES, start=2):
            for index in range(1, count + 1):
                blocks[f"conv{stage}_{index}"] = Block(
                    width_in, width, stride if index == 1 else 1, geometry.epsilon, gate(4 * width)
                )
                width_in = 4 * width
        self.blocks = nn.Sequential(blocks)
        initialize_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalized images to the mean of the last map, N×2048."""
        if self.same:
            x = pad_as_tensorflow(x)
        x = self.blocks(self.pool1(F.relu(self.conv1(x))))
        return x.mean(dim=(2, 3))

    def published_layers(self) -> dict[str, nn.Module]:
        """Return convolutions and batch normalizations by their names in keras-vggface's files.

        The Oxford release writes these names with `_` for `/`.
        """
        parts: dict[str, nn.Module] = {"conv1/7x7_s2": self.conv1}
        for name, block in self.blocks.named_children():
            assert isinstance(block, Block)
            parts |= {f"{name}_{part}": module for part, module in block.parts().items()}
        layers: dict[str, nn.Module] = {}
        for name, module in parts.items():
            if isinstance(module, ConvNorm):
                layers |= {name: module.conv, f"{name}/bn": module.norm}
            else:
                layers[name] = module
        return layers


def pad_as_tensorflow(x: Tensor) -> Tensor:
    """Pad N×C×H×W for a 7×7 kernel with stride 2 as TensorFlow's "same" does.

    An odd side gets three at both ends; an even side needs one less, which the start goes without.
    """
    height, width = x.shape[-2:]
    return F.pad(x, (2 + width % 2, 3, 2 + height % 2, 3))


@register(
    "resnet50",
    summary="ResNet-50 in the geometry of VGGFace2",
    source="He et al. 2016, arXiv 1512.03385; Cao et al. 2018, arXiv 1710.08092",
    size=197,
)
def resnet50(
    *,
    size: int,
    channels: int,
    classes: int,
    geometry: str = "keras",
    head: str = "linear",
    dropout: float = 0.5,
    repeat_gray: bool = False,
    scaling: str = "weights",
) -> nn.Module:
    """Build a ResNet-50 with fresh weights.

    Args:
        size: side of the input in pixels, from 48 up.
        channels: 1 or 3.
        classes: number of outputs.
        geometry: `keras` or `oxford`, the release that weights come from.
        head: `linear` or `paper`; see `heads.build_head`, also for `dropout`.
        dropout: rate before every layer of the head.
        repeat_gray: see `transfer.Input`, also for `scaling`.
        scaling: `weights` or `unit`.
    """
    check_size(size)
    entry = Input(VGGFACE2, channels, repeat_gray=repeat_gray, scaling=scaling)
    backbone = ResNet50(entry.channels, pick("geometry", geometry, GEOMETRIES))
    return TransferNetwork(entry, backbone, build_head(head, backbone.width, classes, dropout))
