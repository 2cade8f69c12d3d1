"""3×3 convolutions with fewer multiplications, for training on a CPU.

S. Winograd, "Arithmetic complexity of computations", 1980; A. Lavin, S. Gray, "Fast algorithms for
convolutional neural networks", CVPR 2016 (arXiv 1509.09308). A tile of m×m outputs is computed from
(m + 2)×(m + 2) inputs in (m + 2)² multiplications a pair of channels where the plain sum has 9 m²:
with m = 4, 36 instead of 144. The channels are summed by batched matrix products, in the gradients
too. oneDNN, which computes PyTorch's convolutions on a CPU, does not do this without AVX-512, and
cuDNN does it by itself on a GPU.

The result is that of the plain convolution but for rounding: relative errors are about 1e-5.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)
# Values of a chunk of images in the transformed domain: few enough to stay in a core's cache.
_CHUNK = 1 << 20
# A multiplication of the transforms, which move memory, against one of a matrix product; and that
# against one of a plain convolution. Fitted to times of single layers (docs/training-speed.md).
_TRANSFORM_COST, _PRODUCT_COST = 100, 4 / 3


def use_winograd(network: nn.Module) -> None:
    """Let a network's 3×3 convolutions of stride 1 compute so where it is faster.

    Parameters, their names and their values stay; only float32 on the CPU outside autocast is
    concerned.
    """
    for module in network.modules():
        if (
            type(module) is nn.Conv2d
            and module.kernel_size == (3, 3)
            and module.stride == module.dilation == (1, 1)
            and module.padding in ((1, 1), "same")
            and module.padding_mode == "zeros"
            and module.groups == 1
        ):
            module.__class__ = _Conv2d


class _Conv2d(nn.Conv2d):
    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        plain = (
            input.device.type != "cpu"
            or input.dtype != torch.float32
            or torch.is_autocast_enabled("cpu")
        )
        count, channels, height, width = input.shape
        side = None if plain else tile_side(count, channels, height, width, len(weight))
        output: Tensor
        if side is None:
            output = super()._conv_forward(input, weight, bias)
            return output
        output = _Convolution.apply(input, weight, side)  # type: ignore[no-untyped-call]
        return output if bias is None else output + bias[:, None, None]


def tile_side(count: int, channels: int, height: int, width: int, outputs: int) -> int | None:
    """Return the side of the tiles with which a convolution is fastest, or None for a plain one.

    Args:
        count: images of the batch.
        channels: of the input.
        height: of input and output.
        width: of input and output.
        outputs: channels of the output.
    """
    pairs, sum_ = channels * outputs, channels + outputs
    best, least = None, 9.0 * count * height * width * pairs
    for side in (2, 3, 4):
        elements = (side + 2) ** 2
        tiles = count * -(-height // side) * -(-width // side)
        cost = elements * tiles * (_PRODUCT_COST * pairs + _TRANSFORM_COST * sum_)
        cost += 2 * 9 * elements * pairs  # the filters and their gradient
        if cost < least:
            best, least = side, cost
    return best


@functools.cache
def _transforms(side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what transforms a tile of inputs, a filter, and back: float32 matrices on the CPU.

    With t = side + 2 they are t²×t², t²×9 and side²×t²: each the Kronecker product with itself of
    what works on one axis. They are made after Toom and Cook (Lavin & Gray, section 4): polynomials
    taken at points, of which the last is at infinity.
    """
    size = side + 2
    points = np.array(_POINTS[: size - 1])
    inputs, filters, outputs = np.zeros((size, size)), np.zeros((size, 3)), np.zeros((side, size))
    for row, point in enumerate(points):
        others = np.delete(points, row)
        inputs[row, :-1] = np.poly(others)[::-1]
        filters[row] = point ** np.arange(3) / np.prod(point - others)
        outputs[:, row] = point ** np.arange(side)
    inputs[-1] = np.poly(points)[::-1]
    filters[-1, -1] = outputs[-1, -1] = 1
    first, second, third = (
        torch.from_numpy(np.kron(axis, axis)).float() for axis in (inputs, filters, outputs)
    )
    return first, second, third


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, side: int) -> Tensor:
        """Map N×C×H×W, with filters K×C×3×3, to N×K×H×W in channels-last layout."""
        ctx.save_for_backward(images, weight)
        ctx.side = side
        return _correlate(images.permute(0, 2, 3, 1), weight, side).permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of images and filters, each where it is asked for."""
        images, weight = ctx.saved_tensors
        gradient = gradient.permute(0, 2, 3, 1)
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            # The gradient of a correlation is one with the filters turned around.
            turned = weight.flip(2, 3).transpose(0, 1)
            of_images = _correlate(gradient, turned, ctx.side).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            of_weight = _filter_gradient(images.permute(0, 2, 3, 1), gradient, ctx.side)
        return of_images, of_weight, None


def _correlate(images: Tensor, weight: Tensor, side: int) -> Tensor:
    """Map N×H×W×C, with filters K×C×3×3, to N×H×W×K."""
    _, of_filter, of_output = _transforms(side)
    count, height, width, channels = images.shape
    outputs = weight.shape[0]
    filters = of_filter @ weight.permute(2, 3, 1, 0).reshape(9, -1)  # t²×CK
    filters = filters.view(-1, channels, outputs)
    rows, columns = -(-height // side), -(-width // side)
    result = images.new_empty(count, height, width, outputs)
    for part, place in _chunks(images, result, side):
        spectrum = torch.bmm(_spectrum(part, side), filters)  # t²×tiles×K
        tiles = of_output @ spectrum.flatten(1)
        tiles = tiles.view(side, side, len(part), rows, columns, outputs)
        tiles = tiles.permute(2, 3, 0, 4, 1, 5).reshape(len(part), rows * side, -1, outputs)
        place.copy_(tiles[:, :height, :width])
    return result


def _filter_gradient(images: Tensor, gradient: Tensor, side: int) -> Tensor:
    """Return K×C×3×3 of images N×H×W×C and the outputs' gradient N×H×W×K."""
    _, of_filter, of_output = _transforms(side)
    channels, outputs = images.shape[3], gradient.shape[3]
    total = images.new_zeros(len(of_filter), channels, outputs)
    back = of_output.T.contiguous()
    for part, above in _chunks(images, gradient, side):
        spectrum = back @ _tiles(above, side, side, before=0)
        total.baddbmm_(_spectrum(part, side).transpose(1, 2), spectrum.view(len(back), -1, outputs))
    filters = of_filter.T @ total.flatten(1)
    return filters.view(3, 3, channels, outputs).permute(3, 2, 0, 1)


def _chunks(first: Tensor, second: Tensor, side: int) -> list[tuple[Tensor, Tensor]]:
    """Split two batches N×H×W×… into the same few images at a time."""
    _, height, width, channels = first.shape
    tiles = -(-height // side) * -(-width // side)
    values = tiles * (side + 2) ** 2 * (channels + second.shape[3])
    count = max(1, _CHUNK // values)
    return list(zip(torch.split(first, count), torch.split(second, count), strict=True))


def _spectrum(images: Tensor, side: int) -> Tensor:
    """Return the transformed inputs of all tiles of N×H×W×C, t²×tiles×C."""
    transformed = _transforms(side)[0] @ _tiles(images, side, side + 2, before=1)
    return transformed.view(len(transformed), -1, images.shape[3])


def _tiles(images: Tensor, side: int, size: int, *, before: int) -> Tensor:
    """Return the tiles of size×size that begin every `side` pixels, size²×(tiles·C).

    The first begin `before` pixels outside of N×H×W×C; outside there are zeros.
    """
    count, height, width, channels = images.shape
    rows, columns = -(-height // side), -(-width // side)
    inside = (rows * side + size - side, columns * side + size - side)
    padded = images.new_zeros(count, *inside, channels)
    padded[:, before : before + height, before : before + width] = images
    n, y, x, c = padded.stride()
    shape = (size, size, count, rows, columns, channels)
    return padded.as_strided(shape, (y, x, n, y * side, x * side, c)).reshape(size * size, -1)
