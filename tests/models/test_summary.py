"""The table of layers against published figures, and that its rows make the totals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from mien.errors import MienError
from mien.models.registry import architectures
from mien.models.summary import Summary, summarize

SummaryOf = Callable[..., Summary]
NAMES = sorted(architectures())


@pytest.mark.parametrize("name", NAMES)
def test_rows_make_the_totals(summary_of: SummaryOf, name: str) -> None:
    summary = summary_of(name)
    assert sum(layer.trainable for layer in summary.layers) == summary.trainable
    assert sum(layer.non_trainable for layer in summary.layers) == summary.non_trainable
    assert sum(layer.multiply_adds for layer in summary.layers) == summary.multiply_adds > 0
    assert len({layer.path for layer in summary.layers}) == len(summary.layers)
    linear = [layer for layer in summary.layers if layer.trainable][-1]
    assert linear.shape[0] == 7


def test_a_layer_counted_by_hand(summary_of: SummaryOf) -> None:
    layers = {layer.path: layer for layer in summary_of("cnn5", 48).layers}
    first, norm = layers["features.0"], layers["features.2"]
    assert first.kind == "5×5 convolution"
    assert first.shape == (64, 48, 48)
    assert first.trainable == 64 * (5 * 5 + 1)
    assert first.multiply_adds == 64 * 48 * 48 * 25
    # Scale and shift are trained, mean and variance are not.
    assert (norm.kind, norm.trainable, norm.non_trainable) == ("batch norm", 128, 128)
    last = layers["classifier.6"]
    assert (last.kind, last.shape, last.multiply_adds) == ("linear", (7,), 512 * 7)


@pytest.mark.parametrize(
    ("name", "options", "giga"),
    [
        # Hu et al. 2018, table 2, GFLOPs (multiply-adds, the gates' own too) at 224×224.
        ("resnet50", {"geometry": "oxford"}, 3.86),
        ("senet50", {"geometry": "oxford"}, 3.87),
        # torchvision, SqueezeNet1_0_Weights and SqueezeNet1_1_Weights: _ops at 224×224.
        ("squeezenet1_0", {}, 0.82),
        ("squeezenet1_1", {}, 0.35),
    ],
)
def test_costs_are_those_published(
    summary_of: SummaryOf, name: str, options: dict[str, Any], giga: float
) -> None:
    summary = summary_of(name, 224, 3, classes=1000, **options)
    assert summary.multiply_adds / 1e9 == pytest.approx(giga, abs=0.01)


def test_backbones_layers_go_by_their_published_names(summary_of: SummaryOf) -> None:
    names = {layer.path: layer.name for layer in summary_of("senet50").layers}
    assert names["backbone.conv1.conv"] == "conv1/7x7_s2"
    assert names["backbone.blocks.conv3_1.proj.norm"] == "conv3_1_1x1_proj/bn"
    assert names["backbone.blocks.conv3_1.gate.down"] == "conv3_1_1x1_down"
    assert names["head.1"] == "head.1"


def test_a_shared_stride_and_kernel_are_told(summary_of: SummaryOf) -> None:
    kinds = {layer.name: layer.kind for layer in summary_of("inception_resnet_v1", 160).layers}
    assert kinds["Conv2d_1a_3x3"] == "3×3 convolution, stride 2"
    assert kinds["Block17_1_Branch_1_Conv2d_0b_1x7"] == "1×7 convolution"
    assert kinds["Bottleneck_BatchNorm"] == "batch norm"


def test_what_a_network_does_not_take_is_a_clear_error(summary_of: SummaryOf) -> None:
    with pytest.raises(MienError, match="does not take images of 9 pixels"):
        summary_of("foldnet", 9)


def test_a_network_keeps_no_memory_for_weights() -> None:
    # 10¹² weights would not fit.
    summary = summarize(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10**10), nn.Linear(10**10, 1)),
        size=8,
        channels=1,
    )
    assert summary.trainable == 64 * 10**10 + 10**10 + 10**10 + 1
    assert summary.multiply_adds == 64 * 10**10 + 10**10
