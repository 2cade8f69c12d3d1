"""The registry of architectures: a name, what it is, and how to build it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from mien.emotions import EMOTIONS
from mien.errors import MienError, nearest

Builder = Callable[..., nn.Module]
"""Builds a network with fresh weights for float32 N×channels×size×size, values 0 to 255, to logits
N×classes; takes the keywords `size`, `channels`, `classes` and its architecture's own options."""


@dataclass(frozen=True)
class Architecture:
    """An entry of the registry.

    Attributes:
        name: what recipes call it.
        summary: one line for lists.
        source: where it was published.
        size: the side of its usual input in pixels.
        build: makes a network with fresh weights.
    """

    name: str
    summary: str
    source: str
    size: int
    build: Builder


_registry: dict[str, Architecture] = {}


def register(
    name: str, *, summary: str, source: str, size: int = 48
) -> Callable[[Builder], Builder]:
    """Enter a builder under a name; used as a decorator in an architecture's own file."""

    def enter(build: Builder) -> Builder:
        if name in _registry:
            raise ValueError(f"the architecture {name!r} is registered twice")
        _registry[name] = Architecture(name, summary, source, size, build)
        return build

    return enter


@cache
def architectures() -> dict[str, Architecture]:
    """Return all architectures by name; every module of this package is one."""
    package = importlib.import_module("mien.models")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"mien.models.{module.name}")
    return dict(sorted(_registry.items()))


def architecture(name: str) -> Architecture:
    """Return the architecture of a name.

    Raises:
        MienError: there is none.
    """
    known = architectures()
    if name not in known:
        raise MienError(f"there is no architecture {name!r}", hint=nearest(name, known))
    return known[name]


def create(
    name: str, *, size: int = 48, channels: int = 1, classes: int = len(EMOTIONS), **options: Any
) -> nn.Module:
    """Build a network by name.

    Args:
        name: a name in `architectures()`.
        size: side of the input in pixels.
        channels: 1 (gray) or 3 (RGB).
        classes: number of outputs.
        options: what the architecture's builder takes beside these.

    Returns:
        A network from float32 N×channels×size×size, values 0 to 255, to N×classes logits.

    Raises:
        MienError: the name or an option is unknown, or a value has the wrong type.
    """
    entry = architecture(name)
    known = inspect.signature(entry.build).parameters.keys() - {"size", "channels", "classes"}
    if unknown := sorted(options.keys() - known):
        raise MienError(
            f"the architecture {name!r} has no option {unknown[0]!r}",
            hint=nearest(unknown[0], known) if known else "it has none",
        )
    try:
        return entry.build(size=size, channels=channels, classes=classes, **options)
    except TypeError as error:
        raise MienError(f"the architecture {name!r} was given a wrong value: {error}") from error


class Normalize(nn.Module):
    """The first layer of every network: (x − mean) / std for gray levels 0 to 255.

    It holds constants, not parameters, so counts and weight files are those of the architecture.
    """

    def __init__(self, mean: float | tuple[float, ...], std: float | tuple[float, ...]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map float32 N×C×H×W, 0 to 255, to normalized values of the same shape."""
        return (images - self.mean) / self.std


def parameter_counts(network: nn.Module) -> tuple[int, int]:
    """Return the numbers of trainable and non-trainable values, counted as Keras does.

    Keras counts a batch norm's running mean and variance as non-trainable parameters.
    """
    trainable = sum(p.numel() for p in network.parameters())
    statistics = sum(
        module.running_mean.numel() + module.running_var.numel()
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.running_mean is not None
        and module.running_var is not None
    )
    return trainable, statistics
