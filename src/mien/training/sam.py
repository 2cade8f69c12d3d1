"""Sharpness-aware minimization: the gradient of the worst point nearby."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def uphill(module: nn.Module, rho: float) -> Iterator[None]:
    """Move the weights by `rho` along their gradients, and back at the end.

    Inside, gradients are empty, and batch normalizations keep their running statistics: those are
    of the weights where they are, not where they were moved to. P. Foret, A. Kleiner, H. Mobahi,
    B. Neyshabur, "Sharpness-aware minimization for efficiently improving generalization",
    ICLR 2021, equation 2 with p = 2.

    Args:
        module: its parameters that learn have gradients.
        rho: how far, above 0, as the norm over all parameters.
    """
    moved: list[Tensor] = [p for p in module.parameters() if p.grad is not None]
    # Copies, not steps taken back: adding and subtracting rounds, and does not undo an infinity,
    # which scaled gradients of half precision have now and then.
    places = [parameter.detach().clone() for parameter in moved]
    with torch.no_grad():
        gradients = [p.grad for p in moved if p.grad is not None]
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        for parameter, gradient in zip(moved, gradients, strict=True):
            parameter.add_(gradient * (rho / (norm + 1e-12)))
    for parameter in moved:
        parameter.grad = None
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    momenta = [m.momentum for m in norms]
    for each in norms:
        each.momentum = 0.0
    try:
        yield
    finally:
        for each, momentum in zip(norms, momenta, strict=True):
            each.momentum = momentum
        with torch.no_grad():
            for parameter, place in zip(moved, places, strict=True):
                parameter.copy_(place)
