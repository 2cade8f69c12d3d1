"""The pre-activation SE-ResNet against PreResNet-20's published count; its block by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mien.models.registry import parameter_counts
from mien.models.se_preresnet import PreActivationBlock
from mien.models.senet50 import SqueezeExcitation

PRERESNET20: dict[str, Any] = {"widths": (16, 32, 64), "depths": (3, 3, 3), "classes": 10}


def test_counts_but_for_the_gates_are_those_of_preresnet20(outline: Callable[..., Any]) -> None:
    # pytorchcv's table (imgclsmob), PreResNet-20 for CIFAR-10: 272,282 parameters.
    network = outline("se_preresnet", 64, **PRERESNET20).network
    gates = [m for m in network.modules() if isinstance(m, SqueezeExcitation)]
    # Reduction 8: down and up with their biases.
    by_hand = 3 * sum(2 * width * (width // 8) + width // 8 + width for width in (16, 32, 64))
    assert sum(parameter_counts(gate)[0] for gate in gates) == by_hand
    assert parameter_counts(network)[0] - by_hand == 272_282


def test_cost_is_that_of_its_convolutions(outline: Callable[..., Any]) -> None:
    # 64×64 halved at once has the maps of CIFAR's 32×32; counted by hand.
    pixels = {"stem": 32 * 32, "stage1": 32 * 32, "stage2": 16 * 16, "stage3": 8 * 8}
    weights = {
        "stem": 9 * 3 * 16,
        "stage1": 9 * 6 * 16 * 16,
        "stage2": 9 * (16 * 32 + 5 * 32 * 32) + 16 * 32,
        "stage3": 9 * (32 * 64 + 5 * 64 * 64) + 32 * 64,
    }
    gates = 3 * sum(2 * width * (width // 8) for width in (16, 32, 64))
    expected = sum(pixels[part] * weights[part] for part in pixels) + gates + 64 * 10
    assert outline("se_preresnet", 64, **PRERESNET20).multiply_adds == expected


@pytest.mark.parametrize(("size", "sides"), [(48, [24, 12, 6, 3]), (40, [20, 10, 5, 3])])
def test_map_sizes(outline: Callable[..., Any], size: int, sides: list[int]) -> None:
    found = outline("se_preresnet", size).sides
    assert [found[f"backbone.stage{number}"] for number in range(1, 5)] == sides


def test_nothing_interrupts_the_shortcut() -> None:
    block = PreActivationBlock(8, 8, stride=1, reduction=8, rate=0.0).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.tensor([-1.0, 2.0]).repeat(1, 8, 3, 1)  # negative values pass too
    assert torch.equal(block(x), x)


def test_a_change_of_shape_leaves_behind_the_first_activation() -> None:
    block = PreActivationBlock(8, 16, stride=2, reduction=8, rate=0.0).eval()
    nn.init.zeros_(block.conv2.weight)
    assert torch.equal(block(torch.full((1, 8, 3, 3), -1.0)), torch.zeros(1, 16, 2, 2))
