"""Winograd's convolutions: values and gradients are those of the plain one, where they are used."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.training.winograd import _Convolution, tile_side, use_winograd


def _double(images: Tensor, weight: Tensor, above: Tensor) -> list[Tensor]:
    """Return output and gradients of PyTorch's convolution in float64."""
    images, weight = (x.double().requires_grad_() for x in (images, weight))
    output = F.conv2d(images, weight, padding=1)
    output.backward(above.double())
    assert images.grad is not None
    assert weight.grad is not None
    return [output.detach(), images.grad, weight.grad]


@pytest.mark.parametrize("side", [2, 3, 4])
@pytest.mark.parametrize("shape", [(3, 5, 8, 8), (1, 2, 5, 7), (2, 3, 1, 4)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_the_plain_convolution_s(
    side: int, shape: tuple[int, int, int, int], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    images = torch.randn(shape).contiguous(memory_format=layout)
    weight = torch.randn(4, shape[1], 3, 3)
    above = torch.randn(shape[0], 4, *shape[2:]).contiguous(memory_format=layout)
    expected = _double(images, weight, above)
    images.requires_grad_()
    weight.requires_grad_()
    output = _Convolution.apply(images, weight, side)  # type: ignore[no-untyped-call]
    output.backward(above)
    for ours, theirs in zip((output, images.grad, weight.grad), expected, strict=True):
        assert ours is not None
        # Exact but for rounding, which is relative to the largest value.
        assert (ours - theirs).abs().max() < 2e-5 * theirs.abs().max()


def test_many_chunks_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    images, weight = torch.randn(7, 3, 6, 6, requires_grad=True), torch.randn(5, 3, 3, 3)
    weight.requires_grad_()

    def gradients() -> tuple[Tensor, ...]:
        output = _Convolution.apply(images, weight, 4)  # type: ignore[no-untyped-call]
        return (output, *torch.autograd.grad(output.square().sum(), (images, weight)))

    whole = gradients()
    monkeypatch.setattr("mien.training.winograd._CHUNK", 3 * 4 * 36 * 8)  # 3, 3 and 1 images
    torch.testing.assert_close(gradients(), whole, rtol=1e-4, atol=1e-3)


def test_wide_layers_are_tiled_and_narrow_ones_are_not() -> None:
    assert tile_side(128, 256, 12, 12, 256) == 4
    assert tile_side(256, 192, 6, 6, 192) == 3
    assert tile_side(256, 48, 24, 24, 48) is None
    # A batch of one does not pay for the transform of its filters.
    assert tile_side(1, 256, 3, 3, 256) is None


def test_a_network_keeps_its_parameters_and_its_outputs() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(128, 128, 3, padding=1),
        nn.Conv2d(128, 128, 3, padding="same", bias=False),
        nn.Conv2d(128, 8, 3, stride=2, padding=1),
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        nn.Conv2d(8, 8, 1),
    )
    fast = copy.deepcopy(plain)
    use_winograd(fast)
    assert [type(module) is nn.Conv2d for module in fast] == [False, False, True, True, True]
    assert list(fast.state_dict()) == list(plain.state_dict())
    images = torch.randn(8, 128, 12, 12)
    assert not torch.equal(fast[0](images), plain[0](images))  # it is computed otherwise
    torch.testing.assert_close(fast(images), plain(images), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(copy.deepcopy(fast)(images), fast(images))


def test_other_precisions_stay_plain() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(128, 128, 3, padding=1)
    fast = copy.deepcopy(plain)
    use_winograd(fast)
    images = torch.randn(4, 128, 12, 12)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fast(images), plain(images))
    assert torch.equal(fast.double()(images.double()), plain.double()(images.double()))
