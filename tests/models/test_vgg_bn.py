"""VGG with batch normalization against torchvision's published figures; map sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mien.models.registry import parameter_counts

VGG13: dict[str, Any] = {
    "widths": (64, 128, 256, 512, 512),
    "depths": (2, 2, 2, 2, 2),
    "classes": 1000,
}
# What VGG-13 has behind its convolutions, and what we have there.
CONNECTED = 512 * 7 * 7 * 4096 + 4096 * 4096 + 4096 * 1000
POOLED = 512 * 1000


def test_counts_of_configuration_b_are_those_of_torchvision(outline: Callable[..., Any]) -> None:
    # VGG13_BN_Weights: 133,053,736 parameters. Its convolutions have a bias, which the batch
    # normalization behind them makes useless.
    biases = 2 * sum(VGG13["widths"])
    connected_biases = 4096 + 4096 + 1000
    expected = 133_053_736 - CONNECTED - connected_biases - biases + POOLED + 1000
    network = outline("vgg_bn", 224, **VGG13).network
    assert parameter_counts(network) == (expected, 2 * biases)


def test_cost_of_configuration_b_is_that_of_torchvision(outline: Callable[..., Any]) -> None:
    # VGG13_BN_Weights: 11.31 giga multiply-adds at 224×224.
    cost = outline("vgg_bn", 224, **VGG13).multiply_adds
    assert round((cost - POOLED + CONNECTED) / 1e9, 2) == 11.31


@pytest.mark.parametrize(("size", "sides"), [(48, [24, 12, 6, 3]), (40, [20, 10, 5, 2])])
def test_map_sizes(outline: Callable[..., Any], size: int, sides: list[int]) -> None:
    found = outline("vgg_bn", size).sides
    assert [found[f"backbone.stage{number}"] for number in range(1, 5)] == sides
