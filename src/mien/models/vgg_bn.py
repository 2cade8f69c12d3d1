"""A narrow VGG with batch normalization: the plain network of the FER2013 literature.

Simonyan & Zisserman 2015 (arXiv 1409.1556), configuration B without its last stage, as Pramerdorfer
& Kampel 2016 (arXiv 1612.02903) and Khaireddin & Chen 2021 (arXiv 2105.03588, "VGGNet") train it on
FER2013: stages of two 3×3 convolutions and a maximum pooling, dropout behind each. Theirs are
wider and end in fully connected layers; ours pools globally and is sized for a CPU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from mien.models.heads import build_dropout
from mien.models.pooled import PooledNetwork, conv_norm_relu, stages
from mien.models.registry import register
from mien.models.transfer import initialize_convolutions


@register(
    "vgg_bn",
    summary="a narrow VGG with batch normalization",
    source="Simonyan & Zisserman 2015, arXiv 1409.1556; Khaireddin & Chen 2021, arXiv 2105.03588",
)
def vgg_bn(
    *,
    size: int,
    channels: int,
    classes: int,
    widths: Sequence[int] = (32, 64, 128, 256),
    depths: Sequence[int] = (2, 2, 2, 2),
    stage_dropout: float = 0.0,
    dropout: float = 0.0,
) -> nn.Module:
    """Build a VGG with batch normalization; every stage halves the resolution at its end.

    Args:
        size: side of the input in pixels; not used, the network pools globally.
        channels: 1 or 3.
        classes: number of outputs.
        widths: channels of the stages.
        depths: convolutions of the stages.
        stage_dropout: rate behind each stage.
        dropout: rate before the last layer.
    """
    backbone: OrderedDict[str, nn.Module] = OrderedDict()
    width_in = channels
    for stage in stages(widths, depths):
        layers: list[nn.Module] = []
        for _ in stage.rates:
            layers += conv_norm_relu(width_in, stage.width, 3)
            width_in = stage.width
        layers += [nn.MaxPool2d(2), build_dropout(stage_dropout)]
        backbone[stage.name] = nn.Sequential(*layers)
    network = PooledNetwork(nn.Sequential(backbone), widths[-1], classes, dropout)
    initialize_convolutions(network)
    return network
