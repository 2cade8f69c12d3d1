"""Embeddings of every registered architecture: shapes, gradients, and the logits they lead to."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mien.errors import MienError
from mien.models.embedding import embed
from mien.models.registry import architectures, create

WIDTHS = {
    "cnn5": 512,
    "convnext": 192,
    "foldnet": 192,
    "inception": 384,
    "inception_resnet_v1": 512,
    "mobilenet": 160,
    "repvgg": 160,
    "resnet50": 2048,
    "se_preresnet": 256,
    "senet50": 2048,
    "squeezenet1_0": 512,
    "squeezenet1_1": 512,
    "vgg16": 512,
    "vgg_bn": 256,
}
NAMES = sorted(architectures())
LINEAR = [name for name in NAMES if not name.startswith("squeezenet")]


def test_every_architecture_is_swept() -> None:
    assert set(NAMES) == set(WIDTHS)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_width(name: str, channels: int) -> None:
    with torch.device("meta"):
        network = create(name, size=64, channels=channels).eval()
        features = embed(network, torch.zeros(2, channels, 64, 64))
    assert features.shape == (2, WIDTHS[name])
    assert features.dtype == torch.float32


@pytest.mark.parametrize("name", LINEAR)
def test_logits_are_linear_in_the_embedding(name: str) -> None:
    torch.manual_seed(0)
    network = create(name).eval()
    images = torch.randint(0, 256, (2, 1, 48, 48)).float()
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with torch.inference_mode():
        expected = embed(network, images) @ last.weight.T + last.bias
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-4)


def test_squeezenet_s_maps_are_pooled() -> None:
    torch.manual_seed(0)
    network = create("squeezenet1_1", size=64).eval()
    last = network.classifier[1]
    images = torch.randint(0, 256, (2, 1, 64, 64)).float()
    with torch.inference_mode():
        # Without the ReLU between them, convolution and mean can change places.
        nn.init.constant_(last.bias, 100.0)
        expected = embed(network, images) @ last.weight[:, :, 0, 0].T + last.bias
        torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_the_paper_s_head_stands_on_the_same_embedding(name: str) -> None:
    torch.manual_seed(0)
    network = create(name, head="paper").eval()
    images = torch.randint(0, 256, (2, 1, 48, 48)).float()
    with torch.inference_mode():
        features = embed(network, images)
        assert features.shape == (2, WIDTHS[name])
        torch.testing.assert_close(network.head(features), network(images))


@pytest.mark.parametrize("name", ["cnn5", "foldnet", "squeezenet1_1", "resnet50"])
def test_gradients_reach_the_first_layer_and_not_the_head(name: str) -> None:
    torch.manual_seed(0)
    network = create(name).train()
    features = embed(network, torch.randint(0, 256, (3, 1, 48, 48)).float())
    (features * torch.linspace(-1, 1, features.shape[1])).square().sum().backward()
    parameters = list(network.parameters())
    assert parameters[0].grad is not None
    assert parameters[0].grad.abs().sum() > 0
    assert parameters[-1].grad is None


def test_dropout_before_the_head_does_not_show() -> None:
    torch.manual_seed(0)
    network = create("foldnet", dropout=0.9).train()
    images = torch.randint(0, 256, (4, 1, 16, 16)).float()
    torch.testing.assert_close(embed(network, images), embed(network, images))


def test_half_precision_becomes_float32() -> None:
    network = create("foldnet").eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert embed(network, torch.zeros(1, 1, 16, 16)).dtype == torch.float32


def test_a_network_without_embeddings_is_refused() -> None:
    with pytest.raises(MienError, match="Linear"):
        embed(nn.Linear(3, 4), torch.zeros(1, 3))
