"""RepVGG: the published counts, and that folding changes the layers and not the logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from mien.export.onnx import to_onnx
from mien.models.folding import fold
from mien.models.registry import create, parameter_counts

A0: dict[str, Any] = {"widths": (48, 96, 192, 1280), "depths": (2, 4, 14, 1), "classes": 1000}


def _trained(channels: int = 1, **options: Any) -> nn.Module:
    """Return a network whose batch normalizations are as after a training: not the identity."""
    torch.manual_seed(0)
    network = create("repvgg", channels=channels, **options).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.3)
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network


class _FromBytes(nn.Module):
    """As an exported model takes its images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images.float().unsqueeze(1))
        return logits


def test_counts_of_the_folded_a0_are_those_published() -> None:
    # Ding et al. 2021, table 4, and the authors' code: 8,309,384 for inference. Its first block
    # takes 3 channels, ours the 12 of 2×2 pixels.
    with torch.device("meta"):
        network = fold(create("repvgg", channels=3, **A0))
    assert parameter_counts(network) == (8_309_384 + 9 * (12 - 3) * 48, 0)


def test_counts_of_the_training_form_by_hand(outline: Callable[..., Any]) -> None:
    network = outline("repvgg", 48, widths=(8, 16), depths=(1, 2)).network
    # The stem 12 → 8, a block 8 → 8, then 8 → 16 and 16 → 16; two with an identity branch.
    blocks = [(12, 8, 2), (8, 8, 3), (8, 16, 2), (16, 16, 3)]
    weights = sum((9 + 1) * i * o for i, o, _ in blocks)
    normalized = sum(o * branches for _, o, branches in blocks)
    assert parameter_counts(network) == (weights + 2 * normalized + 16 * 7 + 7, 2 * normalized)


@pytest.mark.parametrize("channels", [1, 3])
def test_folding_changes_no_logit(channels: int) -> None:
    network = _trained(channels)
    images = torch.randint(0, 256, (8, channels, 48, 48)).float()
    with torch.inference_mode():
        expected = network(images)
        found = fold(network)(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_folding_leaves_the_network_as_it_was() -> None:
    network = _trained().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold(network)
    assert network.training
    assert not folded.training
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    kinds = {type(module) for module in folded.modules()}
    assert nn.BatchNorm2d not in kinds
    convolutions = [m for m in folded.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 8  # the stem and 1 + 2 + 2 + 2 blocks
    assert {m.kernel_size for m in convolutions} == {(3, 3)}


def test_where_nothing_folds_the_copy_computes_the_same() -> None:
    torch.manual_seed(0)
    network = create("foldnet", widths=(8, 16, 32)).eval()
    images = torch.rand(2, 1, 16, 16) * 255
    folded = fold(network)
    assert folded is not network
    assert torch.equal(folded(images), network(images))


def test_the_exported_file_computes_what_the_training_form_does() -> None:
    network = _trained()
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    model = to_onnx(_FromBytes(fold(network)), (48, 48), ("images", "logits"))
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 8
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(["logits"], {"images": images})[0]
    with torch.inference_mode():
        expected = _FromBytes(network)(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
