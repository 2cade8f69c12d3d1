"""Folding: a network for inference that computes the same with fewer layers."""

from __future__ import annotations

import copy

from torch import nn


def fold(network: nn.Module) -> nn.Module:
    """Return a copy of a network in inference mode, with what can be folded.

    A module folds itself by a method `folded() -> nn.Module`, which gives what computes in
    inference mode what the module does; see `repvgg`. The network that is given stays as it is,
    and one in which nothing folds is copied.
    """
    folded = copy.deepcopy(network).eval()
    for path, module in list(folded.named_modules()):
        method = getattr(module, "folded", None)
        if callable(method):
            folded.set_submodule(path, method())
    return folded
