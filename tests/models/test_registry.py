"""Every registered architecture: forward, gradients, sizes; and the published parameter counts."""

from __future__ import annotations

import pytest
import torch

from mien.errors import MienError
from mien.models.registry import Normalize, architectures, create, parameter_counts

NAMES = sorted(architectures())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_logits_and_a_gradient_to_every_parameter(name: str, channels: int) -> None:
    torch.manual_seed(0)
    network = create(name, channels=channels)
    images = torch.randint(0, 256, (3, channels, 48, 48)).float()
    assert network(images).shape == (3, 7)
    # A step first: a normalization that starts at zero passes no gradient to what lies before it.
    # Clipped: without normalization within (VGG), one large step can kill every ReLU.
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 2])).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", NAMES)
def test_other_sizes_and_class_counts(name: str) -> None:
    with torch.device("meta"):  # shapes without computing
        network = create(name, size=64, classes=8).eval()
        assert network(torch.zeros(2, 1, 64, 64)).shape == (2, 8)


@pytest.mark.parametrize("name", NAMES)
def test_one_image_does_not_depend_on_its_batch(name: str) -> None:
    torch.manual_seed(0)
    # In float64, where the order of sums does not show.
    network = create(name).eval().double()
    images = torch.randint(0, 256, (3, 1, 48, 48)).double()
    with torch.inference_mode():
        torch.testing.assert_close(network(images)[2:3], network(images[2:3]), atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_entry_says_what_and_whence(name: str) -> None:
    entry = architectures()[name]
    assert entry.summary
    assert entry.source


def test_cnn5_has_the_counts_that_the_paper_prints() -> None:
    # Vepuri 2021, section VII.A: 11,075,847 trainable and 896 non-trainable parameters.
    assert parameter_counts(create("cnn5")) == (11_075_847, 896)


def test_cnn5_normalizes_as_the_paper_scaled() -> None:
    normalize = create("cnn5").normalize
    assert isinstance(normalize, Normalize)
    torch.testing.assert_close(
        normalize(torch.tensor([[[[0.0, 255.0]]]])), torch.tensor([[[[0.0, 1.0]]]])
    )


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(MienError, match="foldnet"):
        create("foldnett")


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(MienError, match="no option 'depth'") as caught:
        create("foldnet", depth=3)
    assert caught.value.hint == "did you mean 'depths'?"
