"""VGG-16 as it was trained on VGGFace: the 13 convolutions without the fully connected layers.

Simonyan & Zisserman 2015 (arXiv 1409.1556), configuration D; faces: Parkhi et al. 2015 (Deep Face
Recognition, doi 10.5244/C.29.41). Layers are named as in keras-vggface's
`rcmalli_vggface_tf_notop_vgg16.h5`. There is no normalization within: from scratch, train it with
`scaling = "unit"` and a small learning rate.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from mien.models.heads import build_head
from mien.models.registry import register
from mien.models.transfer import (
    Input,
    TransferNetwork,
    WeightsInput,
    check_size,
    initialize_convolutions,
)

VGGFACE1 = WeightsInput(mean=(93.5940, 104.7624, 129.1863))
"""keras-vggface's `preprocess_input(version=1)`."""

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Width and number of the 3×3 convolutions before each pooling."""


class VGG16(nn.Module):
    """The backbone: normalized N×channels×H×W to N×512."""

    width = 512

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width_in = channels
        for block, (width, count) in enumerate(BLOCKS, start=1):
            for index in range(1, count + 1):
                layers[f"conv{block}_{index}"] = nn.Conv2d(width_in, width, 3, padding=1)
                layers[f"relu{block}_{index}"] = nn.ReLU()
                width_in = width
            layers[f"pool{block}"] = nn.MaxPool2d(2)
        self.layers = nn.Sequential(layers)
        initialize_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalized images to the mean of the last map, N×512."""
        maps: Tensor = self.layers(x)  # N×512×H/32×W/32
        return maps.mean(dim=(2, 3))

    def published_layers(self) -> dict[str, nn.Module]:
        """Return the convolutions by their names in keras-vggface's files."""
        named = self.layers.named_children()
        return {name: layer for name, layer in named if isinstance(layer, nn.Conv2d)}


@register(
    "vgg16",
    summary="VGG-16 without its fully connected layers, as trained on VGGFace",
    source="Simonyan & Zisserman 2015, arXiv 1409.1556; Parkhi et al. 2015, doi 10.5244/C.29.41",
    size=197,
)
def vgg16(
    *,
    size: int,
    channels: int,
    classes: int,
    head: str = "linear",
    dropout: float = 0.3,
    repeat_gray: bool = False,
    scaling: str = "weights",
) -> nn.Module:
    """Build a VGG-16 with fresh weights.

    Args:
        size: side of the input in pixels, from 48 up.
        channels: 1 or 3.
        classes: number of outputs.
        head: `linear` or `paper`; see `heads.build_head`, also for `dropout`.
        dropout: rate before every layer of the head.
        repeat_gray: see `transfer.Input`, also for `scaling`.
        scaling: `weights` or `unit`.
    """
    check_size(size)
    entry = Input(VGGFACE1, channels, repeat_gray=repeat_gray, scaling=scaling)
    backbone = VGG16(entry.channels)
    return TransferNetwork(entry, backbone, build_head(head, backbone.width, classes, dropout))
