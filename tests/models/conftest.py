"""Outlines of networks: the size of every map and the multiply-adds, without computing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from torch import nn

from mien.models.registry import create
from mien.models.summary import Summary, summarize


class Outline:
    """What an image meets on its way through a network.

    Attributes:
        network: the network, on PyTorch's meta device, which knows shapes and no values.
        sides: height of the output of every module by its path.
        multiply_adds: of convolutions and linear layers, one image.
    """

    def __init__(self, summary: Summary) -> None:
        self.network: nn.Module = summary.calls[-1].module
        self.sides = {call.path: call.shape[1] for call in summary.calls if len(call.shape) == 3}
        self.multiply_adds = summary.multiply_adds


@cache
def _summary_of(name: str, size: int = 64, channels: int = 1, **options: Any) -> Summary:
    build = partial(create, name, size=size, channels=channels, **options)
    return summarize(build, size=size, channels=channels)


@pytest.fixture
def summary_of() -> Callable[..., Summary]:
    """Summarize a network by name, once a run."""
    return _summary_of


@pytest.fixture
def outline() -> Callable[..., Outline]:
    """Build a network for color images of a size and send one image through it, once a run."""
    return lambda name, size, **options: Outline(_summary_of(name, size, 3, **options))
