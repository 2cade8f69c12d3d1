"""What the networks for small images share: a frame, stages, and what their blocks are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import MienError
from mien.models.heads import build_head
from mien.models.registry import Normalize


class PooledNetwork(nn.Module):
    """A backbone of convolutions, global average pooling, and one linear layer behind dropout.

    Whatever the size of the maps, they are pooled, so any image will do that the backbone takes.

    Args:
        backbone: maps normalized images to maps N×width×H×W.
        width: channels of these maps.
        classes: number of outputs.
        dropout: rate before the last layer, at least 0 and below 1.
        norm: works on the pooled features N×width; None is nothing.

    Raises:
        MienError: the rate is out of range.
    """

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        classes: int,
        dropout: float,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(127.5, 64.0)
        self.backbone = backbone
        self.norm = norm or nn.Identity()
        self.head = build_head("linear", width, classes, dropout)

    def embed(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to the features N×width before the dropout."""
        maps: Tensor = self.backbone(self.normalize(images))
        features: Tensor = self.norm(maps.mean(dim=(2, 3)))
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Map what `embed` gives to logits N×classes."""
        logits: Tensor = self.head(features)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to logits N×classes."""
        return self.classify(self.embed(images))


@dataclass(frozen=True)
class Stage:
    """Blocks between two changes of resolution.

    Attributes:
        name: "stage1" is the first.
        width_in: channels that enter its first block.
        width: channels of all its blocks.
        rates: one a block: how often its residual branch is dropped in training.
    """

    name: str
    width_in: int
    width: int
    rates: tuple[float, ...]

    def blocks(self) -> Iterator[tuple[int, int, float]]:
        """Yield each block's incoming channels, stride and rate.

        The first block of every stage but the first halves the resolution.
        """
        for index, rate in enumerate(self.rates):
            first = index == 0
            stride = 2 if first and self.name != "stage1" else 1
            yield self.width_in if first else self.width, stride, rate


def stages(widths: Sequence[int], depths: Sequence[int], drop_path: float = 0.0) -> list[Stage]:
    """Return a network's stages; the first is entered with its own width.

    Args:
        widths: channels of each stage.
        depths: blocks of each stage.
        drop_path: rate of the last block; the others' grow linearly towards it, as Huang et al.
            2016 (arXiv 1603.09382, equation 4) have them.

    Raises:
        MienError: the options do not fit each other or are out of range.
    """
    if len(widths) != len(depths) or not widths:
        raise MienError(
            f"widths and depths need one number a stage each, not {len(widths)} and {len(depths)}"
        )
    if min(*widths, *depths) < 1:
        raise MienError(f"widths and depths are numbers from 1 up, not {[*widths]} and {[*depths]}")
    if not 0 <= drop_path < 1:
        raise MienError(f"drop_path is a rate from 0 to below 1, not {drop_path}")
    total = sum(depths)
    rates = iter([drop_path * block / total for block in range(1, total + 1)])
    return [
        Stage(f"stage{number}", width_in, width, tuple(next(rates) for _ in range(depth)))
        for number, ((width_in, width), depth) in enumerate(
            zip(pairwise([widths[0], *widths]), depths, strict=True), start=1
        )
    ]


def conv_norm_relu(
    width_in: int, width: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Return a convolution that pads to the same size, batch normalization and ReLU."""
    padding = kernel // 2
    return nn.Sequential(
        nn.Conv2d(width_in, width, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def drop_path(branch: Tensor, rate: float, training: bool) -> Tensor:
    """Return a residual branch N×C×H×W with a share of its images set to zero: stochastic depth.

    Huang et al. 2016 (arXiv 1603.09382), drawn for each image from PyTorch's global generator. What
    is kept is divided by 1 − rate (as in dropout), so nothing is scaled at inference.
    """
    if not training or rate == 0.0:
        return branch
    return branch * F.dropout(branch.new_ones(branch.shape[0], 1, 1, 1), rate)
