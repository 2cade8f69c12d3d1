"""Optimizers: each lowers a loss; Muon's updates are near orthogonal."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mien.training.optimizers import build_optimizer, orthogonalize
from mien.training.recipe import Optimizer


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (32, 2, 1, 1), (16, 16, 3, 3)])
def test_orthogonalized_singular_values_are_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    update = orthogonalize(torch.randn(shape)).flatten(1)
    values = torch.linalg.svdvals(update) / math.sqrt(max(1, update.shape[0] / update.shape[1]))
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
