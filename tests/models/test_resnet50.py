"""ResNet-50 against the published figures, names and geometry of its two releases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mien.errors import MienError
from mien.models.registry import create, parameter_counts
from mien.models.resnet50 import pad_as_tensorflow


def test_counts_are_those_of_the_publishers(outline: Callable[..., Any]) -> None:
    network = outline("resnet50", 224, classes=1000).network
    # Keras's summary of keras-vggface's resnet50 without top prints these (23,561,152 together).
    assert parameter_counts(network.backbone) == (23_508_032, 53_120)
    # torchvision, ResNet50_Weights.IMAGENET1K_V1: num_params.
    assert parameter_counts(network)[0] == 25_557_032


def test_cost_shows_the_stride_in_the_first_convolution(outline: Callable[..., Any]) -> None:
    # Hu et al. 2018, table 2: 3.86 GFLOPs; a stride in the 3×3 convolutions makes it 4.09.
    cost = outline("resnet50", 224, classes=1000, geometry="oxford").multiply_adds
    assert round(cost / 1e9, 2) == 3.86


@pytest.mark.parametrize(
    ("geometry", "size", "sides"),
    [
        ("keras", 224, [112, 55, 55, 28, 14, 7]),
        ("keras", 197, [99, 49, 49, 25, 13, 7]),
        ("oxford", 224, [112, 56, 56, 28, 14, 7]),
        ("keras", 48, [24, 11, 11, 6, 3, 2]),
    ],
)
def test_map_sizes(outline: Callable[..., Any], geometry: str, size: int, sides: list[int]) -> None:
    found = outline("resnet50", size, geometry=geometry).sides
    stages = ["conv1", "pool1", *(f"blocks.conv{n}" for n in ("2_3", "3_4", "4_6", "5_3"))]
    assert [found[f"backbone.{stage}"] for stage in stages] == sides
    # Already the 1×1 convolution halves.
    assert found["backbone.blocks.conv3_1.reduce"] == sides[3]


def test_layers_are_named_as_in_keras_vggface(outline: Callable[..., Any]) -> None:
    layers = outline("resnet50", 197, geometry="keras").network.backbone.published_layers()
    expected = {"conv1/7x7_s2"}
    for stage, count in {2: 3, 3: 4, 4: 6, 5: 3}.items():
        expected.add(f"conv{stage}_1_1x1_proj")
        for block in range(1, count + 1):
            prefix = f"conv{stage}_{block}"
            expected |= {f"{prefix}_1x1_reduce", f"{prefix}_3x3", f"{prefix}_1x1_increase"}
    assert len(expected) == 53
    assert set(layers) == expected | {f"{name}/bn" for name in expected}
    for name in expected:
        assert isinstance(layers[name], nn.Conv2d)
        assert layers[name].bias is None
        assert isinstance(layers[f"{name}/bn"], nn.BatchNorm2d)
        assert layers[f"{name}/bn"].num_features == layers[name].out_channels


@pytest.mark.parametrize(
    ("name", "shape", "stride"),
    [
        ("conv1/7x7_s2", (64, 3, 7, 7), 2),
        ("conv2_1_1x1_reduce", (64, 64, 1, 1), 1),
        ("conv2_1_1x1_proj", (256, 64, 1, 1), 1),
        ("conv3_1_1x1_reduce", (128, 256, 1, 1), 2),
        ("conv3_1_3x3", (128, 128, 3, 3), 1),
        ("conv4_1_1x1_proj", (1024, 512, 1, 1), 2),
        ("conv5_1_1x1_reduce", (512, 1024, 1, 1), 2),
        ("conv5_3_1x1_increase", (2048, 512, 1, 1), 1),
    ],
)
def test_shapes_and_strides_are_those_of_keras_vggface(
    outline: Callable[..., Any], name: str, shape: tuple[int, ...], stride: int
) -> None:
    network = outline("resnet50", 197, geometry="keras").network
    layer = network.backbone.published_layers()[name]
    assert tuple(layer.weight.shape) == shape
    assert layer.stride == (stride, stride)


@pytest.mark.parametrize(("geometry", "epsilon"), [("keras", 1e-3), ("oxford", 1e-5)])
def test_epsilon_is_that_of_the_release(
    outline: Callable[..., Any], geometry: str, epsilon: float
) -> None:
    modules = outline("resnet50", 224, geometry=geometry).network.modules()
    assert {m.eps for m in modules if isinstance(m, nn.BatchNorm2d)} == {epsilon}


@pytest.mark.parametrize("side", [48, 49, 197, 224])
def test_padding_follows_the_formula_of_tensorflow(side: int) -> None:
    # TensorFlow's guide to tf.nn, "Notes on padding": the total, and the smaller half first.
    total = max((math.ceil(side / 2) - 1) * 2 + 7 - side, 0)
    padded = pad_as_tensorflow(torch.ones(1, 1, side, side + 1))[0, 0]
    assert padded.shape[0] == side + total
    assert int(padded.sum(dim=1).nonzero()[0]) == total // 2


def test_an_unknown_geometry_is_refused_with_the_nearest() -> None:
    with pytest.raises(MienError, match="did you mean 'keras'"):
        create("resnet50", geometry="kreas")
