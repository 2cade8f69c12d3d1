"""Outlines of networks: the size of every map and the multiply-adds, without computing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mien.models.registry import create


@dataclass
class Outline:
    """What an image meets on its way through a network.

    Attributes:
        network: the network, on PyTorch's meta device, which knows shapes and no values.
        sides: height of the output of every module by its path.
        multiply_adds: of convolutions and linear layers, one image.
    """

    network: nn.Module
    sides: dict[str, int] = field(default_factory=dict)
    multiply_adds: int = 0

    def record(self, path: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.ndim == 4:
            self.sides[path] = output.shape[2]
        if isinstance(module, nn.Conv2d | nn.Linear):
            self.multiply_adds += output.numel() * module.weight[0].numel()


@cache
def _outline(name: str, size: int, **options: Any) -> Outline:
    with torch.device("meta"):
        network = create(name, size=size, channels=3, **options).eval()
        found = Outline(network)
        for path, module in network.named_modules():
            module.register_forward_hook(partial(found.record, path))
        network(torch.zeros(1, 3, size, size))
    return found


@pytest.fixture
def outline() -> Callable[..., Outline]:
    """Build a network for color images of a size and send one image through it, once a run."""
    return _outline
