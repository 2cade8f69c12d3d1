"""Optimizers: each lowers a loss; Muon's updates are near orthogonal."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from mien.training.optimizers import build_optimizer, orthogonalize
from mien.training.recipe import Optimizer


@pytest.mark.parametrize("shape", [(2, 8, 36), (1, 32, 2), (3, 16, 144)])
def test_orthogonalized_singular_values_are_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    updates = orthogonalize(torch.randn(shape))
    values = torch.linalg.svdvals(updates) / math.sqrt(max(1, shape[1] / shape[2]))
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3


@pytest.mark.parametrize(
    ("name", "rate"), [("sgd", 0.05), ("adam", 0.01), ("adamw", 0.01), ("muon", 0.05)]
)
def test_each_optimizer_learns(name: str, rate: float) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2)
    )
    images = torch.randn(32, 1, 8, 8)
    labels = (images.mean(dim=(1, 2, 3)) > 0).long()
    optimizer = build_optimizer(network.parameters(), Optimizer(name=name, learning_rate=rate))  # type: ignore[arg-type]
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


def test_muon_s_state_survives_a_round_trip() -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(1, 4, 3)
    optimizer = build_optimizer(network.parameters(), Optimizer(name="muon", learning_rate=0.1))
    network(torch.randn(2, 1, 5, 5)).sum().backward()
    optimizer.step()
    again = build_optimizer(network.parameters(), Optimizer(name="muon", learning_rate=0.1))
    again.load_state_dict(optimizer.state_dict())
    torch.testing.assert_close(
        again.state_dict()["state"][0]["momentum"], optimizer.state_dict()["state"][0]["momentum"]
    )


def test_muon_s_convolutions_do_not_depend_on_those_of_the_same_shape() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.Conv2d(4, width, 3) for width in (8, 4, 8)))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    alone = copy.deepcopy(network)
    recipe = Optimizer(name="muon", learning_rate=0.1, weight_decay=0.1)
    together = build_optimizer(network.parameters(), recipe)
    each = [build_optimizer([parameter], recipe) for parameter in alone.parameters()]
    for _ in range(2):
        for ours, theirs in zip(network.parameters(), alone.parameters(), strict=True):
            ours.grad = torch.randn_like(ours)
            theirs.grad = ours.grad.clone()
        for optimizer in (together, *each):
            optimizer.step()
    for ours, theirs in zip(network.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_fused_step_takes_each_weight_with_its_own_gradient() -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = network.weight.detach().clone()
    network(torch.randn(2, 3, 5, 5)).square().sum().backward()
    assert network.weight.grad is not None
    build_optimizer(network.parameters(), Optimizer(name="adam", learning_rate=0.1)).step()
    # Adam's first step is the rate against the gradient's sign.
    torch.testing.assert_close(
        before - network.weight, 0.1 * network.weight.grad.sign(), rtol=1e-3, atol=1e-4
    )
