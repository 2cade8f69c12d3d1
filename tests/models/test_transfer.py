"""The way into the networks with published weights, and what their builders refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mien.errors import MienError
from mien.models.inception_resnet_v1 import FACENET
from mien.models.registry import create
from mien.models.resnet50 import VGGFACE2
from mien.models.transfer import Input, TransferNetwork, WeightsInput
from mien.models.vgg16 import VGGFACE1

PIXEL = torch.tensor([10.0, 20.0, 30.0]).reshape(1, 3, 1, 1)  # red, green, blue


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        # keras-vggface, preprocess_input: blue first, version 1 and version 2.
        (VGGFACE1, [30 - 93.5940, 20 - 104.7624, 10 - 129.1863]),
        (VGGFACE2, [30 - 91.4953, 20 - 103.8827, 10 - 131.0912]),
        # facenet-pytorch, fixed_image_standardization: red first.
        (FACENET, [(10 - 127.5) / 128, (20 - 127.5) / 128, (30 - 127.5) / 128]),
    ],
)
def test_color_is_normalized_as_the_weights_expect(
    weights: WeightsInput, expected: list[float]
) -> None:
    entry = Input(weights, 3, repeat_gray=False, scaling="weights")
    torch.testing.assert_close(entry(PIXEL).flatten(), torch.tensor(expected))


def test_gray_is_repeated_and_normalized_by_channel() -> None:
    entry = Input(VGGFACE2, 1, repeat_gray=True, scaling="weights")
    assert entry.channels == 3
    expected = torch.tensor([100 - 91.4953, 100 - 103.8827, 100 - 131.0912])
    torch.testing.assert_close(entry(torch.full((1, 1, 1, 1), 100.0)).flatten(), expected)


def test_gray_from_scratch_keeps_one_channel() -> None:
    entry = Input(VGGFACE2, 1, repeat_gray=False, scaling="weights")
    assert entry.channels == 1
    mean = (91.4953 + 103.8827 + 131.0912) / 3
    torch.testing.assert_close(entry(torch.full((1, 1, 1, 1), mean)), torch.zeros(1, 1, 1, 1))


def test_unit_scaling_only_divides() -> None:
    # The order of the channels is that of the weights all the same.
    entry = Input(VGGFACE2, 3, repeat_gray=False, scaling="unit")
    torch.testing.assert_close(entry(PIXEL).flatten(), torch.tensor([30.0, 20.0, 10.0]) / 255)


@pytest.mark.parametrize("name", ["resnet50", "senet50", "vgg16", "inception_resnet_v1"])
def test_pretrained_form_has_a_first_convolution_for_three_channels(name: str) -> None:
    with torch.device("meta"):
        network = create(name, size=64, channels=1, repeat_gray=True, head="paper").eval()
        assert isinstance(network, TransferNetwork)
        features = network.embed(torch.zeros(2, 1, 64, 64))
        assert features.shape == (2, network.backbone.width)
        assert network.head(features).shape == (2, 7)
    first = next(iter(network.backbone.published_layers().values()))
    assert first.in_channels == 3


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"size": 47}, "48 pixels or more, not 47"),
        ({"channels": 3, "repeat_gray": True}, "repeat_gray"),
        ({"scaling": "weight"}, "did you mean 'weights'"),
        ({"head": "papr"}, "did you mean 'paper'"),
        ({"dropout": 1.0}, "from 0 to below 1"),
        ({"dropout": "half"}, "wrong value"),
        ({"heads": "paper"}, "heads"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], match: str) -> None:
    with torch.device("meta"), pytest.raises(MienError, match=match):
        create("vgg16", **options)


@pytest.mark.parametrize("name", ["squeezenet1_0", "inception_resnet_v1"])
def test_images_under_48_pixels_are_refused(name: str) -> None:
    with pytest.raises(MienError, match="48 pixels"):
        create(name, size=32)
