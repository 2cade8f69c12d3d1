"""The heads that stand on a backbone's features: one linear layer, or the paper's three."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from mien.errors import MienError
from mien.models.transfer import pick

HEADS: dict[str, tuple[int, ...]] = {"linear": (), "paper": (4096, 1024)}
"""The hidden layers of each head; `paper` is that of Vepuri 2021."""


def build_head(head: str, width: int, classes: int, dropout: float) -> nn.Sequential:
    """Build a head: dropout before every linear layer, ReLU between them.

    Args:
        head: `linear` or `paper` (4096 and 1024 hidden units).
        width: features a face.
        classes: number of outputs.
        dropout: rate, at least 0 and below 1; the paper's is 0.5 for ResNet-50 and SENet-50, 0.3
            for VGG-16 and FaceNet.

    Returns:
        A network from features N×width to logits N×classes.

    Raises:
        MienError: there is no such head, or the rate is out of range.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise((width, *pick("head", head, HEADS), classes)):
        linear = nn.Linear(before, after)
        # Keras's default initializer, as in the paper's code.
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [build_dropout(dropout), linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def build_dropout(rate: float) -> nn.Dropout:
    """Return a dropout layer; a rate below 0, or of 1 and more, is a MienError."""
    if not 0 <= rate < 1:
        raise MienError(f"dropout is a rate from 0 to below 1, not {rate}")
    return nn.Dropout(rate)
