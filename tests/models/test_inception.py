"""The small Inception network: its counts by hand, its branches, its map sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mien.models.inception import InceptionBlock, Reduction
from mien.models.registry import parameter_counts


def test_a_block_counted_by_hand() -> None:
    # Parts of 8 channels, 64 in: (1×1) 16; 1×1 16 → 3×3 24; 1×1 8 → 3×3 16 → 3×3 16; 1×1 8.
    weights = 64 * 16 + (64 * 16 + 9 * 16 * 24) + (64 * 8 + 9 * 8 * 16 + 9 * 16 * 16) + 64 * 8
    channels = 16 + (16 + 24) + (8 + 16 + 16) + 8
    with torch.device("meta"):
        block = InceptionBlock(64, 64)
    assert weights == 156 * 8 * 8
    assert parameter_counts(block) == (weights + 2 * channels, 2 * channels)


def test_a_reduction_counted_by_hand_keeps_what_came_in() -> None:
    reduction = Reduction(2, 5).eval()
    assert parameter_counts(reduction) == (9 * 2 * 3 + 2 * 3, 2 * 3)
    x = torch.arange(18.0).reshape(1, 2, 3, 3)
    # The largest of the 2×2 corners that a 3×3 window reaches.
    assert reduction(x)[0, 3].tolist() == [[4.0, 5.0], [7.0, 8.0]]


def test_cost_by_hand(outline: Callable[..., Any]) -> None:
    # A block of width 8q has 156 q² weights, each used once a pixel; maps are 24, 12 and 6 wide.
    blocks = 2 * 156 * 12**2 * 24**2 + 3 * 156 * 24**2 * 12**2 + 2 * 156 * 48**2 * 6**2
    stem = (9 * 3 * 48 + 9 * 48 * 96) * 24**2
    reductions = 9 * 96 * 96 * 12**2 + 9 * 192 * 192 * 6**2
    assert outline("inception", 48).multiply_adds == blocks + stem + reductions + 384 * 7


@pytest.mark.parametrize(("size", "sides"), [(48, [24, 12, 6]), (44, [22, 11, 6])])
def test_map_sizes(outline: Callable[..., Any], size: int, sides: list[int]) -> None:
    found = outline("inception", size).sides
    assert [found[f"backbone.stage{number}"] for number in range(1, 4)] == sides
