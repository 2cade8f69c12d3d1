"""ConvNeXt against the published figures of ConvNeXt-T; its normalization by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mien.models.convnext import SCALE, ChannelNorm, ConvNeXtBlock
from mien.models.registry import parameter_counts

TINY: dict[str, Any] = {
    "widths": (96, 192, 384, 768),
    "depths": (3, 3, 9, 3),
    "patch": 4,
    "classes": 1000,
}


def test_figures_are_those_of_torchvision(outline: Callable[..., Any]) -> None:
    # ConvNeXt_Tiny_Weights: 28,589,128 parameters, 4.456 giga multiply-adds at 224×224.
    found = outline("convnext", 224, **TINY)
    assert parameter_counts(found.network) == (28_589_128, 0)
    assert round(found.multiply_adds / 1e9, 3) == 4.456


def test_the_scale_starts_small_and_the_shortcut_passes() -> None:
    block = ConvNeXtBlock(4, rate=0.0)
    assert block.scale.weight.flatten().tolist() == pytest.approx([SCALE] * 4)
    torch.nn.init.zeros_(block.scale.weight)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)


def test_each_pixel_s_channels_are_normalized() -> None:
    norm = ChannelNorm(2, eps=0.0)
    x = torch.tensor([[[[1.0, 5.0]], [[3.0, 1.0]]]])
    assert norm(x).tolist() == [[[[-1.0, 1.0]], [[1.0, -1.0]]]]


@pytest.mark.parametrize(("size", "sides"), [(48, [24, 12, 6]), (40, [20, 10, 5])])
def test_map_sizes(outline: Callable[..., Any], size: int, sides: list[int]) -> None:
    found = outline("convnext", size).sides
    assert [found[f"backbone.stage{number}"] for number in range(1, 4)] == sides
