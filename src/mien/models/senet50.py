"""SENet-50 as it was trained on VGGFace2: ResNet-50 with squeeze-and-excitation.

Hu et al. 2018 (arXiv 1709.01507), reduction 16, both layers of the excitation with a bias; faces:
Cao et al. 2018. keras-vggface's SENet-50 has a batch normalization epsilon of 0.0001 where its
ResNet-50 has 0.001; in all else the two releases differ as in `mien.models.resnet50`.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from mien.models.heads import build_head
from mien.models.registry import register
from mien.models.resnet50 import GEOMETRIES as RESNET_GEOMETRIES
from mien.models.resnet50 import VGGFACE2, ResNet50
from mien.models.transfer import Input, TransferNetwork, check_size, pick

GEOMETRIES = {**RESNET_GEOMETRIES, "keras": replace(RESNET_GEOMETRIES["keras"], epsilon=1e-4)}


class SqueezeExcitation(nn.Module):
    """Weighs each channel by what all channels show on average: x · σ(up(ReLU(down(mean x))))."""

    def __init__(self, width: int, reduction: int = 16) -> None:
        super().__init__()
        self.down = nn.Conv2d(width, width // reduction, 1)
        self.up = nn.Conv2d(width // reduction, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×width×H×W to the same shape."""
        squeezed = x.mean(dim=(2, 3), keepdim=True)
        weights: Tensor = self.up(F.relu(self.down(squeezed))).sigmoid()
        return x * weights


@register(
    "senet50",
    summary="SENet-50 in the geometry of VGGFace2",
    source="Hu et al. 2018, arXiv 1709.01507; Cao et al. 2018, arXiv 1710.08092",
    size=197,
)
def senet50(
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
    """Build a SENet-50 with fresh weights; the arguments are those of `resnet50.resnet50`."""
    check_size(size)
    entry = Input(VGGFACE2, channels, repeat_gray=repeat_gray, scaling=scaling)
    backbone = ResNet50(entry.channels, pick("geometry", geometry, GEOMETRIES), SqueezeExcitation)
    return TransferNetwork(entry, backbone, build_head(head, backbone.width, classes, dropout))
