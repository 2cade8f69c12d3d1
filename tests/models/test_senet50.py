"""SENet-50 against the published figures; the gate against a sum done by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mien.models.registry import parameter_counts
from mien.models.senet50 import SqueezeExcitation


def test_counts_are_those_of_the_publishers(outline: Callable[..., Any]) -> None:
    network = outline("senet50", 224, classes=1000, geometry="keras").network
    # pytorchcv's table (imgclsmob), SE-ResNet-50 for ImageNet: 28,088,024 parameters;
    # torchreid's, se_resnet50 without a classifier: 26,039,024.
    assert parameter_counts(network)[0] == 28_088_024
    assert parameter_counts(network.backbone) == (26_039_024, 53_120)


def test_gates_cost_almost_nothing(outline: Callable[..., Any]) -> None:
    # Hu et al. 2018, table 2: 3.87 GFLOPs beside ResNet-50's 3.86.
    plain = outline("resnet50", 224, classes=1000, geometry="oxford").multiply_adds
    gated = outline("senet50", 224, classes=1000, geometry="oxford").multiply_adds
    assert 0 < gated - plain < 0.01e9


def test_gate_layers_are_named_as_in_keras_vggface(outline: Callable[..., Any]) -> None:
    network = outline("senet50", 224, classes=1000, geometry="keras").network
    layers = network.backbone.published_layers()
    gates = {name: layer for name, layer in layers.items() if name.endswith(("_down", "_up"))}
    blocks = [f"conv{s}_{b}" for s, n in {2: 3, 3: 4, 4: 6, 5: 3}.items() for b in range(1, n + 1)]
    assert set(gates) == {f"{block}_1x1_{way}" for block in blocks for way in ("down", "up")}
    assert all(gate.bias is not None for gate in gates.values())
    assert tuple(gates["conv2_1_1x1_down"].weight.shape) == (16, 256, 1, 1)
    assert tuple(gates["conv5_3_1x1_up"].weight.shape) == (2048, 128, 1, 1)
    # Beside them, the 53 convolutions and batch normalizations of ResNet-50.
    assert len(layers) - len(gates) == 106


@pytest.mark.parametrize(("geometry", "epsilon"), [("keras", 1e-4), ("oxford", 1e-5)])
def test_epsilon_is_that_of_the_release(
    outline: Callable[..., Any], geometry: str, epsilon: float
) -> None:
    modules = outline("senet50", 224, classes=1000, geometry=geometry).network.modules()
    assert {m.eps for m in modules if isinstance(m, nn.BatchNorm2d)} == {epsilon}


def test_gate_computes_what_the_paper_writes() -> None:
    gate = SqueezeExcitation(2, reduction=2)
    with torch.no_grad():
        gate.down.weight.copy_(torch.tensor([1.0, -2.0]).reshape(1, 2, 1, 1))
        gate.down.bias.fill_(0.5)
        gate.up.weight.copy_(torch.tensor([2.0, -1.0]).reshape(2, 1, 1, 1))
        gate.up.bias.copy_(torch.tensor([0.0, 3.0]))
        x = torch.tensor([[[[1.0, 3.0]], [[-1.0, 1.0]]]])  # channel means 2 and 0
        # down: 1·2 − 2·0 + 0.5 = 2.5; up: 5.0 and 0.5; σ(5) = 0.9933071, σ(0.5) = 0.6224593.
        expected = torch.tensor([[[[0.9933071, 2.9799213]], [[-0.6224593, 0.6224593]]]])
        torch.testing.assert_close(gate(x), expected)
