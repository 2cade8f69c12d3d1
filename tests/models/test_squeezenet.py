"""SqueezeNet 1.0 and 1.1 against torchvision's published figures and names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mien.models.registry import create, parameter_counts


@pytest.mark.parametrize(
    ("name", "parameters", "cost"),
    # torchvision, SqueezeNet1_0_Weights and SqueezeNet1_1_Weights: num_params and _ops (giga
    # multiply-adds at 224×224).
    [("squeezenet1_0", 1_248_424, 0.819), ("squeezenet1_1", 1_235_496, 0.349)],
)
def test_figures_are_those_of_torchvision(
    outline: Callable[..., Any], name: str, parameters: int, cost: float
) -> None:
    found = outline(name, 224, classes=1000)
    assert parameter_counts(found.network) == (parameters, 0)
    assert round(found.multiply_adds / 1e9, 3) == cost


@pytest.mark.parametrize(
    ("name", "fires"),
    [("squeezenet1_0", (3, 4, 5, 7, 8, 9, 10, 12)), ("squeezenet1_1", (3, 4, 6, 7, 9, 10, 11, 12))],
)
def test_parameters_are_named_as_in_torchvision(
    outline: Callable[..., Any], name: str, fires: tuple[int, ...]
) -> None:
    layers = ["features.0", "classifier.1"]
    layers += [
        f"features.{n}.{part}" for n in fires for part in ("squeeze", "expand1x1", "expand3x3")
    ]
    expected = {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    assert set(outline(name, 224).network.state_dict()) == expected


def test_map_sizes_are_those_of_the_paper(outline: Callable[..., Any]) -> None:
    # Iandola et al. 2016, table 1, which pads the first convolution: 111, 55, 27, 13 there; the
    # authors' files and torchvision do not, which gives 109, 54, 27, 13.
    sides = outline("squeezenet1_0", 224).sides
    assert [sides[f"features.{n}"] for n in (0, 2, 6, 11)] == [109, 54, 27, 13]


def test_logits_are_the_means_of_maps_cut_at_zero() -> None:
    torch.manual_seed(0)
    network = create("squeezenet1_1", classes=3).eval()
    with torch.no_grad():
        network.classifier[1].weight.zero_()
        network.classifier[1].bias.copy_(torch.tensor([-1.0, 0.0, 2.0]))
        logits = network(torch.rand(1, 1, 48, 48) * 255)
    torch.testing.assert_close(logits, torch.tensor([[0.0, 0.0, 2.0]]))
