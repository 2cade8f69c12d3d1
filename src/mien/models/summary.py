"""What a network consists of and costs: its layers with shapes, parameters and multiply-adds.

Nothing is computed for it: one image goes through the network on PyTorch's meta device, which
knows shapes and no values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import MienError
from mien.models.registry import Normalize, parameter_counts

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A module that an image went through.

    Attributes:
        path: where the module stands in the network, "" for the network itself.
        module: the module.
        shape_in: of its first input, without the batch: (C, H, W) or (width,).
        shape: of its output, without the batch.
    """

    path: str
    module: nn.Module
    shape_in: Shape
    shape: Shape


@dataclass(frozen=True)
class Layer:
    """A row of the table: a module that has no modules within.

    Attributes:
        name: its name in the published weights where it has one, else its path in the network.
        path: its path in the network, as in the names of weights.
        kind: what it does, in words.
        shape: of its output for one image: (C, H, W) or (width,).
        trainable: values that training changes.
        non_trainable: values that it does not: a batch norm's running mean and variance.
        multiply_adds: of convolutions and linear layers for one image; all else counts as free.
    """

    name: str
    path: str
    kind: str
    shape: Shape
    trainable: int
    non_trainable: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """A network's layers and its totals.

    Attributes:
        shape_in: of an image, (C, H, W).
        calls: every module, within others or not, in the order in which they finish.
        layers: those without modules within. What a network computes without a layer (sums,
            means, some activations) is not among them.
        trainable: values that training changes.
        non_trainable: batch norms' statistics, which Keras counts as parameters too.
        multiply_adds: of all convolutions and linear layers for one image.
    """

    shape_in: Shape
    calls: tuple[Call, ...]
    layers: tuple[Layer, ...]
    trainable: int
    non_trainable: int
    multiply_adds: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "input": list(self.shape_in),
            "layers": [asdict(layer) | {"shape": list(layer.shape)} for layer in self.layers],
            "trainable": self.trainable,
            "non_trainable": self.non_trainable,
            "parameters": self.trainable + self.non_trainable,
            "multiply_adds": self.multiply_adds,
        }


def summarize(build: Callable[[], nn.Module], *, size: int, channels: int) -> Summary:
    """Build a network without memory for its weights, and describe it.

    Args:
        build: makes the network; called on the meta device.
        size: side of the image in pixels.
        channels: 1 or 3.

    Raises:
        MienError: `build` refuses its options, or the network the image's size.
    """
    with torch.device("meta"), torch.no_grad():
        network = build().eval()
        calls: list[Call] = []
        for path, module in network.named_modules():
            module.register_forward_hook(partial(_record, calls, path))
        try:
            network(torch.zeros(1, channels, size, size))
        except RuntimeError as error:
            raise MienError(
                f"this network does not take images of {size} pixels: {error}",
                hint="choose a larger size, or one that is a multiple of 8",
            ) from error
    published = _published_names(network)
    layers = tuple(
        _layer(call, published.get(call.module, call.path))
        for call in calls
        if not any(call.module.children()) and not isinstance(call.module, nn.Identity)
    )
    trainable, non_trainable = parameter_counts(network)
    cost = sum(layer.multiply_adds for layer in layers)
    shape_in = (channels, size, size)
    return Summary(shape_in, tuple(calls), layers, trainable, non_trainable, cost)


def kind_of(module: nn.Module) -> str:
    """Return in words what a module without modules within does."""
    match module:
        case nn.Conv2d():
            return f"{_sides(module.kernel_size)} convolution{_stride(module.stride)}"
        case nn.MaxPool2d():
            return f"{_sides(module.kernel_size)} max pooling{_stride(module.stride)}"
        case nn.AvgPool2d():
            return f"{_sides(module.kernel_size)} average pooling{_stride(module.stride)}"
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            return "batch norm"
        case nn.LayerNorm():
            return "layer norm"
        case nn.PixelUnshuffle():
            return f"{_sides(module.downscale_factor)} pixels to channels"
        case nn.Dropout():
            return f"dropout {module.p:g}"
        case Normalize():
            return "normalization"
        case nn.ReLU():
            return "ReLU"
        case _:
            return type(module).__name__.lower()


def _record(
    calls: list[Call], path: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
) -> None:
    calls.append(Call(path, module, tuple(inputs[0].shape[1:]), tuple(output.shape[1:])))


def _layer(call: Call, name: str) -> Layer:
    trainable, non_trainable = parameter_counts(call.module)
    cost = 0
    if isinstance(call.module, nn.Conv2d | nn.Linear):
        # Each value of the output takes as many multiply-adds as one filter has weights.
        cost = torch.Size(call.shape).numel() * call.module.weight[0].numel()
    return Layer(name, call.path, kind_of(call.module), call.shape, trainable, non_trainable, cost)


def _published_names(network: nn.Module) -> dict[nn.Module, str]:
    """Return the names that a backbone's layers have in the files of published weights."""
    published = getattr(getattr(network, "backbone", None), "published_layers", None)
    return {} if published is None else {module: name for name, module in published().items()}


def _sides(sides: int | tuple[int, ...]) -> str:
    return "×".join(map(str, (sides, sides) if isinstance(sides, int) else sides))


def _stride(stride: int | tuple[int, ...]) -> str:
    one = stride if isinstance(stride, int) else stride[0]
    return f", stride {one}" if one != 1 else ""
