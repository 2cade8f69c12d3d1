"""Inception-ResNet-v1 against the published figures of its PyTorch, Keras and OpenVINO forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mien.models import inception_resnet_v1
from mien.models.registry import parameter_counts


def test_counts_are_those_of_facenet_pytorch(outline: Callable[..., Any]) -> None:
    # The VGGFace2 checkpoint with its 8631 logits: 27,910,327 parameters, 132 convolutions, 111
    # batch normalizations of maps and one of the embedding, two linear layers.
    network = outline("inception_resnet_v1", 160, classes=8631).network
    assert parameter_counts(network)[0] == 27_910_327
    kinds = Counter(type(module) for module in network.modules())
    assert kinds[nn.Conv2d] == 132
    assert kinds[nn.BatchNorm2d] == 111
    assert kinds[nn.BatchNorm1d] == 1
    assert kinds[nn.Linear] == 2


def test_counts_are_those_of_the_keras_facenet(outline: Callable[..., Any]) -> None:
    # Its summary: 22,779,312 trainable, 28,832 non-trainable; no scale in batch normalization.
    backbone = outline("inception_resnet_v1", 160, embedding=128).network.backbone
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    scales = sum(m.num_features for m in backbone.modules() if isinstance(m, norms))
    trainable, statistics = parameter_counts(backbone)
    assert (trainable - scales, statistics) == (22_779_312, 28_832)


def test_cost_is_that_of_open_model_zoo(outline: Callable[..., Any]) -> None:
    # facenet-20180408-102900: 2.846 GFlops, two a multiply-add, with biases, sums and poolings.
    cost = 2 * outline("inception_resnet_v1", 160).multiply_adds
    assert cost / 1e9 == pytest.approx(2.846, rel=5e-3)


def test_map_sizes_are_those_of_facenet(outline: Callable[..., Any]) -> None:
    sides = outline("inception_resnet_v1", 160).sides
    expected = {
        "conv2d_1a": 79, "conv2d_2a": 77, "conv2d_2b": 77, "maxpool_3a": 38, "conv2d_3b": 38,
        "conv2d_4a": 36, "conv2d_4b": 17, "repeat_1": 17, "mixed_6a": 8, "repeat_2": 8,
        "mixed_7a": 3, "block8": 3,
    }  # fmt: skip
    assert {name: sides[f"backbone.{name}"] for name in expected} == expected


@pytest.mark.parametrize(("size", "last"), [(48, 2), (74, 3), (75, 1)])
def test_small_images_leave_a_map(outline: Callable[..., Any], size: int, last: int) -> None:
    assert outline("inception_resnet_v1", size).sides["backbone.block8"] == last


def test_weights_fit_whatever_the_size(outline: Callable[..., Any]) -> None:
    small, large = (outline("inception_resnet_v1", size).network for size in (48, 160))
    shapes = {name: value.shape for name, value in small.state_dict().items()}
    assert {name: value.shape for name, value in large.state_dict().items()} == shapes


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv2d_1a.conv.weight", (32, 3, 3, 3)),
        ("conv2d_4b.bn.running_var", (256,)),
        ("repeat_1.4.branch2.2.conv.weight", (32, 32, 3, 3)),
        ("repeat_1.0.conv2d.bias", (256,)),
        ("mixed_6a.branch0.conv.weight", (384, 256, 3, 3)),
        ("mixed_6a.branch1.2.bn.weight", (256,)),
        ("repeat_2.9.branch1.1.conv.weight", (128, 128, 1, 7)),
        ("mixed_7a.branch2.2.conv.weight", (256, 256, 3, 3)),
        ("repeat_3.0.branch0.conv.weight", (192, 1792, 1, 1)),
        ("block8.branch1.2.conv.weight", (192, 192, 3, 1)),
        ("last_linear.weight", (512, 1792)),
        ("last_bn.bias", (512,)),
    ],
)
def test_names_and_shapes_are_those_of_facenet_pytorch(
    outline: Callable[..., Any], name: str, shape: tuple[int, ...]
) -> None:
    state = outline("inception_resnet_v1", 160).network.backbone.state_dict()
    assert tuple(state[name].shape) == shape


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("Conv2d_3b_1x1", (80, 64, 1, 1)),
        ("Conv2d_4b_3x3_BatchNorm", (256,)),
        ("Block35_1_Branch_0_Conv2d_1x1", (32, 256, 1, 1)),
        ("Block35_5_Branch_2_Conv2d_0c_3x3", (32, 32, 3, 3)),
        ("Mixed_6a_Branch_0_Conv2d_1a_3x3", (384, 256, 3, 3)),
        ("Mixed_6a_Branch_1_Conv2d_0b_3x3", (192, 192, 3, 3)),
        ("Block17_10_Branch_1_Conv2d_0c_7x1", (128, 128, 7, 1)),
        ("Block17_1_Conv2d_1x1", (896, 256, 1, 1)),
        ("Mixed_7a_Branch_2_Conv2d_0b_3x3", (256, 256, 3, 3)),
        ("Mixed_7a_Branch_1_Conv2d_1a_3x3_BatchNorm", (256,)),
        ("Block8_6_Branch_1_Conv2d_0b_1x3", (192, 192, 1, 3)),
        ("Bottleneck", (128, 1792)),
        ("Bottleneck_BatchNorm", (128,)),
    ],
)
def test_layers_are_named_as_in_the_keras_facenet(
    outline: Callable[..., Any], name: str, shape: tuple[int, ...]
) -> None:
    layers = outline("inception_resnet_v1", 160, embedding=128).network.backbone.published_layers()
    # 132 convolutions, 111 normalizations of maps, the embedding and its own.
    assert len(layers) == 132 + 111 + 2
    assert tuple(layers[name].weight.shape) == shape


@pytest.mark.parametrize(("kind", "scale"), [("35", 0.17), ("17", 0.10), ("8", 0.20)])
def test_branches_are_scaled_before_the_sum(kind: str, scale: float) -> None:
    block = getattr(inception_resnet_v1, f"_block{kind}")().eval()
    with torch.no_grad():
        block.conv2d.weight.zero_()
        block.conv2d.bias.fill_(1.0)
        x = torch.full((1, block.conv2d.out_channels, 1, 1), -0.05)
        torch.testing.assert_close(block(x), torch.full_like(x, scale - 0.05))
        torch.testing.assert_close(block(x - 2), torch.zeros_like(x))


def test_every_block_has_the_scale_of_its_kind(outline: Callable[..., Any]) -> None:
    backbone = outline("inception_resnet_v1", 160).network.backbone
    repeats = (backbone.repeat_1, backbone.repeat_2, backbone.repeat_3)
    scales = [[block.scale for block in repeat] for repeat in repeats]
    assert scales == [[0.17] * 5, [0.10] * 10, [0.20] * 5]
    # The last one is neither scaled nor cut at zero.
    assert backbone.block8.scale == 1.0
    assert not backbone.block8.relu
