"""Optimizers by name, and Muon, which PyTorch has for matrices only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

from mien.training.recipe import Optimizer

# What Muon leaves to SGD (norms, biases, the last layer): rate, momentum and L2 term.
_REST_RATE, _REST_MOMENTUM, _REST_DECAY = 0.1, 0.9, 5e-4


def build_optimizer(parameters: Iterable[Tensor], recipe: Optimizer) -> torch.optim.Optimizer:
    """Return the optimizer that a recipe names, over those parameters that are not frozen."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.name == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
    if recipe.name == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)
    if recipe.name == "muon":
        return Muon(parameters, lr=rate, momentum=recipe.momentum, weight_decay=decay)
    momentum = recipe.momentum
    return torch.optim.SGD(
        parameters, lr=rate, momentum=momentum, weight_decay=decay, nesterov=True, fused=True
    )


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalized by Newton–Schulz iteration for convolutions, SGD for the rest.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". A filter bank
    out×in×h×w is taken as the matrix out×(in·h·w), as in Jordan's CIFAR-10 speed runs. Weight
    decay is decoupled for the convolutions and an L2 term for the rest.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, momentum: float, weight_decay: float
    ) -> None:
        parameters = list(parameters)
        groups = [
            {"params": [p for p in parameters if p.ndim == 4], "lr": lr, "muon": True},
            {
                "params": [p for p in parameters if p.ndim != 4],
                "lr": _REST_RATE,
                "muon": False,
            },
        ]
        # Where all convolutions are frozen there is only the rest.
        groups = [group for group in groups if group["params"]]
        super().__init__(groups, {"momentum": momentum, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Change the weights by their gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["muon"]:
                self._step_convolutions(parameters, group)
            else:
                self._step_rest(parameters, group)
        return loss

    def _step_convolutions(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        updates = self._nesterov(gradients, parameters, group["momentum"])
        # A GPU spends longer on starting small products than on computing them.
        alike: dict[torch.Size, list[int]] = {}
        for index, update in enumerate(updates):
            alike.setdefault(update.flatten(1).shape, []).append(index)
        for places in alike.values():
            changes = orthogonalize(torch.stack([updates[i].flatten(1) for i in places]))
            for index, change in zip(places, changes, strict=True):
                parameter = parameters[index]
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(change.view(parameter.shape), alpha=-group["lr"])

    def _step_rest(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [p.grad.add(p, alpha=_REST_DECAY) for p in parameters if p.grad is not None]
        updates = self._nesterov(gradients, parameters, _REST_MOMENTUM)
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.add_(update, alpha=-group["lr"])

    def _nesterov(
        self, gradients: list[Tensor], parameters: list[Tensor], momentum: float
    ) -> list[Tensor]:
        """Keep the parameters' momenta up to date and return what Nesterov makes of them."""
        updates = []
        for gradient, parameter in zip(gradients, parameters, strict=True):
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].mul_(momentum).add_(gradient)
            updates.append(gradient.add(state["momentum"], alpha=momentum))
        return updates


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return the nearest semi-orthogonal matrices, roughly, scaled by √max(1, rows / columns).

    Five steps of the quintic Newton–Schulz iteration with Jordan's coefficients take the singular
    values of any matrix to between about 0.7 and 1.2, which is near enough for an optimizer.

    Args:
        matrices: float, N×rows×columns; each is made orthogonal by itself.
    """
    rows, columns = matrices.shape[1:]
    wide = matrices.mT if rows > columns else matrices
    wide = wide / (wide.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = wide @ wide.mT
        wide = 3.4445 * wide + (-4.7750 * square + 2.0315 * square @ square) @ wide
    near: Tensor = wide.mT if rows > columns else wide
    return near * math.sqrt(max(1.0, rows / columns))
