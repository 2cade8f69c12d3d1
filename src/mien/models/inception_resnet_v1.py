"""Inception-ResNet-v1, the network of the public FaceNet models.

Szegedy et al. 2017 (arXiv 1602.07261) in the form of Sandberg's FaceNet (block scales 0.17, 0.10
and 0.20, an embedding layer with batch normalization, epsilon 0.001); the idea of FaceNet: Schroff
et al. 2015 (arXiv 1503.03832). Parameters are named as in facenet-pytorch (Esler), whose
checkpoints have an embedding of 512; `published_layers` gives the names of the Keras FaceNet that
was trained on MS-Celeb-1M, which has 128 and no batch normalization scale (all ones).

The published network pads no convolution with stride 2 and needs 75 pixels. Built for less, every
layer that does not pad pads by one instead: the weights stay the same, the maps are larger.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
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
)

FACENET = WeightsInput(mean=(127.5, 127.5, 127.5), std=128.0, bgr=False)
"""facenet-pytorch's `fixed_image_standardization`."""

EPSILON = 1e-3
UNPADDED = 75
"""The smallest side in pixels of which the published network leaves anything."""


class ConvNorm(nn.Module):
    """A convolution without bias, batch normalization and ReLU; keeps the size by default."""

    def __init__(
        self,
        width_in: int,
        width: int,
        kernel: tuple[int, int],
        stride: int = 1,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        pad = (kernel[0] // 2, kernel[1] // 2) if padding is None else (padding, padding)
        self.kernel = f"{kernel[0]}x{kernel[1]}"
        self.conv = nn.Conv2d(width_in, width, kernel, stride, pad, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width_in×H×W to N×width×H/stride×W/stride, not negative."""
        return F.relu(self.bn(self.conv(x)))


class Branches(nn.Module):
    """Several ways through a block, their outputs side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.count = len(branches)
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)

    def branches(self) -> list[nn.Module]:
        """Return the branches in their order."""
        return [self.get_submodule(f"branch{index}") for index in range(self.count)]

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate the branches' outputs along the channels."""
        return torch.cat([branch(x) for branch in self.branches()], dim=1)

    def describe(self) -> str:
        """Return what a diagram says of the branches."""
        return " ∥ ".join(_steps(branch) for branch in self.branches())


class Residual(Branches):
    """Branches, a 1×1 convolution back to the input's width, and a scaled sum with the input."""

    def __init__(
        self, width: int, mixed: int, scale: float, *branches: nn.Module, relu: bool = True
    ) -> None:
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(mixed, width, 1)
        self.scale = scale
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width×H×W to the same shape."""
        y: Tensor = x + self.scale * self.conv2d(super().forward(x))
        return F.relu(y) if self.relu else y

    def describe(self) -> str:
        """Return what a diagram says of the block."""
        width = self.conv2d.out_channels
        return f"({super().describe()}) → 1×1 {width} + shortcut"


def _chain(width_in: int, *layers: tuple[int, int, int]) -> nn.Module:
    # Convolutions of (width, height, width of the kernel) one after the other.
    convolutions: list[nn.Module] = []
    for width, height, breadth in layers:
        convolutions.append(ConvNorm(width_in, width, (height, breadth)))
        width_in = width
    return nn.Sequential(*convolutions) if len(convolutions) > 1 else convolutions[0]


def _steps(branch: nn.Module) -> str:
    # What a diagram says of a branch: "1×1 32 → 3×3 32".
    layers = [module for module in branch.modules() if isinstance(module, ConvNorm)]
    texts = [f"{layer.kernel.replace('x', '×')} {layer.conv.out_channels}" for layer in layers]
    return " → ".join(texts) or "max pooling"


def _block35() -> Residual:
    return Residual(
        256,
        96,
        0.17,
        _chain(256, (32, 1, 1)),
        _chain(256, (32, 1, 1), (32, 3, 3)),
        _chain(256, (32, 1, 1), (32, 3, 3), (32, 3, 3)),
    )


def _block17() -> Residual:
    narrow = _chain(896, (128, 1, 1))
    return Residual(896, 256, 0.10, narrow, _chain(896, (128, 1, 1), (128, 1, 7), (128, 7, 1)))


def _block8(scale: float = 0.20, relu: bool = True) -> Residual:
    wide = _chain(1792, (192, 1, 1), (192, 1, 3), (192, 3, 1))
    return Residual(1792, 384, scale, _chain(1792, (192, 1, 1)), wide, relu=relu)


def _mixed_6a(padding: int) -> Branches:
    return Branches(
        ConvNorm(256, 384, (3, 3), 2, padding),
        nn.Sequential(
            ConvNorm(256, 192, (1, 1)),
            ConvNorm(192, 192, (3, 3)),
            ConvNorm(192, 256, (3, 3), 2, padding),
        ),
        nn.MaxPool2d(3, 2, padding),
    )


def _mixed_7a(padding: int) -> Branches:
    return Branches(
        nn.Sequential(ConvNorm(896, 256, (1, 1)), ConvNorm(256, 384, (3, 3), 2, padding)),
        nn.Sequential(ConvNorm(896, 256, (1, 1)), ConvNorm(256, 256, (3, 3), 2, padding)),
        nn.Sequential(
            ConvNorm(896, 256, (1, 1)),
            ConvNorm(256, 256, (3, 3)),
            ConvNorm(256, 256, (3, 3), 2, padding),
        ),
        nn.MaxPool2d(3, 2, padding),
    )


class InceptionResNetV1(nn.Module):
    """The backbone: normalized N×channels×H×W to an embedding N×width, not yet of length one.

    The published dropout before the embedding is left to the head.
    """

    def __init__(self, channels: int, size: int, embedding: int) -> None:
        super().__init__()
        self.width = embedding
        padding = 0 if size >= UNPADDED else 1
        self.conv2d_1a = ConvNorm(channels, 32, (3, 3), 2, padding)
        self.conv2d_2a = ConvNorm(32, 32, (3, 3), 1, padding)
        self.conv2d_2b = ConvNorm(32, 64, (3, 3))
        self.maxpool_3a = nn.MaxPool2d(3, 2, padding)
        self.conv2d_3b = ConvNorm(64, 80, (1, 1))
        self.conv2d_4a = ConvNorm(80, 192, (3, 3), 1, padding)
        self.conv2d_4b = ConvNorm(192, 256, (3, 3), 2, padding)
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = _mixed_6a(padding)
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = _mixed_7a(padding)
        self.repeat_3 = nn.Sequential(*(_block8() for _ in range(5)))
        self.block8 = _block8(scale=1.0, relu=False)
        initialize_convolutions(self)
        self.last_linear = nn.Linear(1792, embedding, bias=False)
        self.last_bn = nn.BatchNorm1d(embedding, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalized images to N×width."""
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.conv2d_3b(self.maxpool_3a(x))
        x = self.conv2d_4b(self.conv2d_4a(x))
        x = self.mixed_6a(self.repeat_1(x))
        x = self.mixed_7a(self.repeat_2(x))
        x = self.block8(self.repeat_3(x))
        embedding: Tensor = self.last_bn(self.last_linear(x.mean(dim=(2, 3))))
        return embedding

    def published_layers(self) -> dict[str, nn.Module]:
        """Return the layers that hold weights by their names in the Keras FaceNet."""
        layers: dict[str, nn.Module] = {}
        for name, module in self.named_children():
            if isinstance(module, ConvNorm):
                layers |= _named(f"{name.capitalize()}_{module.kernel}", module)
        for prefix, block in self._blocks():
            for index, branch in enumerate(block.branches()):
                for end, convolution in _branch_names(branch):
                    layers |= _named(f"{prefix}_Branch_{index}_{end}", convolution)
            if isinstance(block, Residual):
                layers[f"{prefix}_Conv2d_1x1"] = block.conv2d
        return layers | {"Bottleneck": self.last_linear, "Bottleneck_BatchNorm": self.last_bn}

    def _blocks(self) -> Iterator[tuple[str, Branches]]:
        """Yield the blocks in the order of the network."""
        yield from _repeated("Block35", self.repeat_1)
        yield "Mixed_6a", self.mixed_6a
        yield from _repeated("Block17", self.repeat_2)
        yield "Mixed_7a", self.mixed_7a
        yield from _repeated("Block8", self.repeat_3)
        yield "Block8_6", self.block8


def _repeated(name: str, repeat: nn.Sequential) -> Iterator[tuple[str, Branches]]:
    for index, block in enumerate(repeat, start=1):
        assert isinstance(block, Branches)
        yield f"{name}_{index}", block


def _named(name: str, module: ConvNorm) -> dict[str, nn.Module]:
    return {name: module.conv, f"{name}_BatchNorm": module.bn}


def _branch_names(branch: nn.Module) -> Iterator[tuple[str, ConvNorm]]:
    # Sandberg's names: a lone 1×1 has no letter, a chain counts 0a, 0b, 0c, a stride is "1a".
    convolutions = [module for module in branch.modules() if isinstance(module, ConvNorm)]
    for letter, module in zip("abc", convolutions, strict=False):
        if module.conv.stride == (2, 2):
            yield f"Conv2d_1a_{module.kernel}", module
        elif len(convolutions) == 1:
            yield f"Conv2d_{module.kernel}", module
        else:
            yield f"Conv2d_0{letter}_{module.kernel}", module


@register(
    "inception_resnet_v1",
    summary="Inception-ResNet-v1, the network of FaceNet",
    source="Szegedy et al. 2017, arXiv 1602.07261; Schroff et al. 2015, arXiv 1503.03832",
    size=160,
)
def inception_resnet_v1(
    *,
    size: int,
    channels: int,
    classes: int,
    embedding: int = 512,
    head: str = "linear",
    dropout: float = 0.3,
    repeat_gray: bool = False,
    scaling: str = "weights",
) -> nn.Module:
    """Build an Inception-ResNet-v1 with fresh weights.

    Args:
        size: side of the input in pixels, from 48 up; below 75 its geometry is padded.
        channels: 1 or 3.
        classes: number of outputs.
        embedding: width of the embedding; 512 in facenet-pytorch, 128 in the Keras FaceNet.
        head: `linear` or `paper`; see `heads.build_head`, also for `dropout`.
        dropout: rate before every layer of the head.
        repeat_gray: see `transfer.Input`, also for `scaling`.
        scaling: `weights` or `unit`.
    """
    check_size(size)
    entry = Input(FACENET, channels, repeat_gray=repeat_gray, scaling=scaling)
    backbone = InceptionResNetV1(entry.channels, size, embedding)
    return TransferNetwork(entry, backbone, build_head(head, embedding, classes, dropout))
