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
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
    if recipe.name == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    if recipe.name == "muon":
        return Muon(parameters, lr=rate, momentum=recipe.momentum, weight_decay=decay)
    return torch.optim.SGD(
        parameters, lr=rate, momentum=recipe.momentum, weight_decay=decay, nesterov=True
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
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, group)
        return loss

    def _step(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        assert gradient is not None
        rate, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        if not group["muon"]:
            gradient = gradient.add(parameter, alpha=_REST_DECAY)
            momentum = _REST_MOMENTUM
        state["momentum"].mul_(momentum).add_(gradient)
        update = gradient.add(state["momentum"], alpha=momentum)
        if group["muon"]:
            parameter.mul_(1 - rate * decay)
            update = orthogonalize(update)
        parameter.add_(update, alpha=-rate)


def orthogonalize(update: Tensor) -> Tensor:
    """Return the nearest semi-orthogonal matrix, roughly, scaled by √max(1, rows / columns).

    Five steps of the quintic Newton–Schulz iteration with Jordan's coefficients take the singular
    values of any matrix to between about 0.7 and 1.2, which is near enough for an optimizer.
    """
    matrix = update.flatten(1)
    rows, columns = matrix.shape
    matrix = matrix / (matrix.norm() + 1e-7)
    if rows > columns:
        matrix = matrix.T
    for _ in range(5):
        square = matrix @ matrix.T
        matrix = 3.4445 * matrix + (-4.7750 * square + 2.0315 * square @ square) @ matrix
    if rows > columns:
        matrix = matrix.T
    scaled: Tensor = matrix.reshape(update.shape) * math.sqrt(max(1.0, rows / columns))
    return scaled
