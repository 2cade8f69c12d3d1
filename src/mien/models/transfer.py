"""What the networks with published face weights share: input, backbone and head put together.

A backbone is the network as its authors published it, without its last layer: it maps normalized
images to one vector a face. It holds nothing else, so its counts are the published ones, and a
file of weights is loaded into it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from mien.errors import MienError, nearest
from mien.models.registry import Normalize

T = TypeVar("T")

SMALLEST = 48
"""The smallest side in pixels that these networks are built for."""


@dataclass(frozen=True)
class WeightsInput:
    """What published weights expect to see: (x − mean) / std of gray levels 0 to 255.

    Attributes:
        mean: of the three channels, in the order of the weights.
        std: one for all channels.
        bgr: the weights take blue first; mien's images have red first.
    """

    mean: tuple[float, float, float]
    std: float = 1.0
    bgr: bool = True


class Input(nn.Module):
    """Turns a batch of images into what the backbone takes.

    Args:
        weights: what the published weights expect.
        channels: 1 (gray) or 3 (RGB) of the images.
        repeat_gray: copy the one channel to three, as pretrained weights need. Without it the
            first convolution takes one channel, which is for training from scratch.
        scaling: `weights` normalizes as the weights expect; `unit` only divides by 255.

    Raises:
        MienError: an option is unknown, or color images shall be repeated.
    """

    def __init__(
        self, weights: WeightsInput, channels: int, *, repeat_gray: bool, scaling: str
    ) -> None:
        super().__init__()
        if repeat_gray and channels != 1:
            raise MienError(
                f"repeat_gray copies one channel to three, but the images have {channels}",
                hint="leave out repeat_gray, or train on gray images",
            )
        self.channels = 3 if repeat_gray else channels
        self.repeat_gray = repeat_gray
        self.bgr = weights.bgr and channels == 3
        # From scratch on gray there is no channel to which a mean belongs.
        mean = weights.mean if self.channels == 3 else sum(weights.mean) / 3
        scalings = {"weights": (mean, weights.std), "unit": (0.0, 255.0)}
        self.normalize = Normalize(*pick("scaling", scaling, scalings))

    def forward(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to normalized N×channels×H×W."""
        if self.repeat_gray:
            images = images.expand(-1, 3, -1, -1)
        if self.bgr:
            images = images.flip(1)
        normalized: Tensor = self.normalize(images)
        return normalized


class TransferNetwork(nn.Module):
    """A backbone between its input and a head.

    Attributes:
        input: repeats, reorders and normalizes.
        backbone: maps normalized images to features N×width; its `published_layers()` give the
            layers that hold weights under their published names.
        head: maps features to logits.
    """

    def __init__(self, input: Input, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.input = input
        self.backbone = backbone
        self.head = head

    def embed(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to the features N×width that the head sees."""
        features: Tensor = self.backbone(self.input(images))
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Map what `embed` gives to logits N×classes."""
        logits: Tensor = self.head(features)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to logits N×classes."""
        return self.classify(self.embed(images))


def pick(what: str, name: str, known: Mapping[str, T]) -> T:
    """Return what an option's value stands for.

    Raises:
        MienError: the value is unknown.
    """
    if name not in known:
        raise MienError(f"there is no {what} {name!r}", hint=nearest(str(name), known))
    return known[name]


def check_size(size: int) -> None:
    """Raise a MienError where an image is too small for networks that halve it five times."""
    if size < SMALLEST:
        raise MienError(
            f"this network takes images of {SMALLEST} pixels or more, not {size}",
            hint="raise the recipe's input.size",
        )


def initialize_convolutions(network: nn.Module) -> None:
    """Draw fresh weights for convolutions before ReLU (He et al. 2015, by fan-out)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
