"""VGG-16 against the published figures, names and map sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mien.models.registry import parameter_counts


def test_counts_are_those_of_keras(outline: Callable[..., Any]) -> None:
    # Keras's summary of VGG16(include_top=False); keras-vggface's layers have the same shapes.
    assert parameter_counts(outline("vgg16", 224).network.backbone) == (14_714_688, 0)


def test_cost_is_that_of_torchvision(outline: Callable[..., Any]) -> None:
    # torchvision, VGG16_Weights: 15.47 giga multiply-adds, fully connected layers included.
    found = outline("vgg16", 224)
    connected = 512 * 7 * 7 * 4096 + 4096 * 4096 + 4096 * 1000
    head = 512 * 7
    assert round((found.multiply_adds - head + connected) / 1e9, 2) == 15.47


@pytest.mark.parametrize(
    ("size", "sides"),
    [(224, [112, 56, 28, 14, 7]), (197, [98, 49, 24, 12, 6]), (48, [24, 12, 6, 3, 1])],
)
def test_map_sizes(outline: Callable[..., Any], size: int, sides: list[int]) -> None:
    found = outline("vgg16", size).sides
    assert [found[f"backbone.layers.pool{block}"] for block in range(1, 6)] == sides


def test_layers_are_named_as_in_keras_vggface(outline: Callable[..., Any]) -> None:
    layers = outline("vgg16", 48).network.backbone.published_layers()
    assert list(layers) == [
        *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
        *("conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3"),
    ]
    assert tuple(layers["conv1_1"].weight.shape) == (64, 3, 3, 3)
    assert tuple(layers["conv4_1"].weight.shape) == (512, 256, 3, 3)
    assert all(layer.bias is not None for layer in layers.values())
