"""MobileNet: a block that the paper tells the cost of, the whole by hand, map sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mien.models.mobilenet import InvertedResidual
from mien.models.registry import create, parameter_counts
from mien.models.summary import summarize


def test_a_block_costs_what_the_paper_says() -> None:
    # Sandler et al. 2018, section 3.3: h·w·d'·t(d' + k² + d''); here 24 → 40 at 14×14, t = 6.
    summary = summarize(lambda: InvertedResidual(24, 40, 1, 6, 0.0), size=14, channels=24)
    assert summary.multiply_adds == 14 * 14 * 24 * 6 * (24 + 9 + 40)


def test_counts_by_hand(outline: Callable[..., Any]) -> None:
    options = {"widths": (8, 16), "depths": (1, 2), "expansion": 2}
    # (in, out) of the three blocks; the 1×1, 3×3 and 1×1 convolutions of each.
    blocks = [(8, 8), (8, 16), (16, 16)]
    weights = 9 * 12 * 8 + sum(2 * i * (i + 9 + o) for i, o in blocks)
    normalized = 8 + sum(2 * i + 2 * i + o for i, o in blocks)
    network = outline("mobilenet", 48, **options).network
    assert parameter_counts(network) == (weights + 2 * normalized + 16 * 7 + 7, 2 * normalized)


def test_the_shortcut_stands_where_the_shape_stays() -> None:
    x = torch.randn(1, 4, 6, 6)
    same, other = InvertedResidual(4, 4, 1, 2, 0.0).eval(), InvertedResidual(4, 4, 2, 2, 0.0).eval()
    for block in (same, other):
        last = block.narrow[0]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)
    assert torch.equal(same(x), x)
    assert torch.equal(other(x), torch.zeros(1, 4, 3, 3))


def test_fresh_weights_keep_the_scale_of_each_channel() -> None:
    torch.manual_seed(0)
    # He et al. 2015: a filter's squared weights sum to 2 on average.
    convolutions = [m for m in create("mobilenet").modules() if isinstance(m, nn.Conv2d)]
    filters = torch.cat([m.weight.flatten(1) for m in convolutions if m.groups > 1])
    assert filters.square().sum(dim=1).mean().item() == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(("size", "sides"), [(48, [24, 12, 6, 3]), (40, [20, 10, 5, 3])])
def test_map_sizes(outline: Callable[..., Any], size: int, sides: list[int]) -> None:
    found = outline("mobilenet", size).sides
    assert [found[f"backbone.stage{number}"] for number in range(1, 5)] == sides
