"""What the published files call their arrays, and how each becomes one of a backbone's.

A layout lists, for a backbone, every array that a file must hold:

- `keras`: layer and weight names of keras-vggface's .h5 files (rcmalli/keras-vggface,
  keras_vggface/models.py); kernels are height×width×in×out, batch normalization has gamma, beta,
  moving_mean and moving_variance. The names of the layers are the backbone's `published_layers`.
- `keras-unscaled`: the same of the Keras FaceNet (nyoki-mtl/keras-facenet,
  code/inception_resnet_v1.py), whose batch normalization was built with scale=False: no gamma.
- `facenet-pytorch`: the state of timesler/facenet-pytorch's InceptionResnetV1, whose names the
  backbone has; `logits` is left out.
- `oxford`: either the state of the Oxford release's PyTorch modules, named as in its Caffe files
  with `_` for `/` (`conv2_1_1x1_reduce_bn.weight`), or the names that torchvision's ResNet has, as
  in the conversion of the same release in cydonia999/VGGFace2-pytorch (models/resnet.py and
  senet.py); the classifier (`classifier`, `fc`) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mien.errors import MienError

Shape = tuple[int, ...]
Arrays = Mapping[str, Tensor]

_SHOWN = 5


@dataclass(frozen=True)
class Source:
    """The array of a file that becomes one of a backbone's.

    Attributes:
        name: in the file, `layer/weight` in a Keras file.
        order: the file's axes in the order of PyTorch's; None where it is the same.
    """

    name: str
    order: tuple[int, ...] | None = None


_KERAS_NORM = {
    "weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
    "running_var": "moving_variance",
}  # fmt: skip

_TORCHVISION_PARTS = {
    "conv1": "1x1_reduce", "bn1": "1x1_reduce/bn", "conv2": "3x3", "bn2": "3x3/bn",
    "conv3": "1x1_increase", "bn3": "1x1_increase/bn", "downsample.0": "1x1_proj",
    "downsample.1": "1x1_proj/bn", "conv4": "1x1_down", "conv5": "1x1_up",
}  # fmt: skip


def convert(arrays: Arrays, backbone: nn.Module, layout: str, file: str) -> dict[str, Tensor]:
    """Return a file's arrays as the state of a backbone.

    Args:
        arrays: the file's by name, as `mien.weights.reading.read` gives them.
        backbone: the network that takes them; only names and shapes are read.
        layout: a layout of this module.
        file: for messages.

    Returns:
        The whole state of the backbone, float32 (counters of batches int64).

    Raises:
        MienError: naming what is missing, unexpected or of a wrong shape.
    """
    sources, ignored = _LAYOUTS[layout](backbone, arrays)
    wanted = backbone.state_dict()
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    expected: dict[str, Shape] = {}
    for name, source in sources.items():
        shape = tuple(wanted[name].shape)
        expected[source.name] = _published(shape, source.order)
    found = {
        name: tuple(value.shape)
        for name, value in arrays.items()
        if not name.startswith(ignored) and not name.endswith("num_batches_tracked")
    }
    check_names(found, expected, file)
    state: dict[str, Tensor] = {}
    for name, value in wanted.items():
        if name in counters:
            state[name] = torch.zeros((), dtype=torch.int64)
        elif name in sources:
            array = arrays[sources[name].name].to(torch.float32)
            order = sources[name].order
            state[name] = (array.permute(order) if order else array).contiguous()
        else:  # The scale of an unscaled batch normalization.
            state[name] = torch.ones(tuple(value.shape))
    return state


def check_names(found: Mapping[str, Shape], expected: Mapping[str, Shape], file: str) -> None:
    """Compare names and shapes.

    Raises:
        MienError: naming what is missing, unexpected or of a wrong shape, the first few of each.
    """
    problems = []
    if missing := expected.keys() - found.keys():
        problems.append(f"missing: {_listed(missing)}")
    if unexpected := found.keys() - expected.keys():
        problems.append(f"unexpected: {_listed(unexpected)}")
    wrong = {
        f"{name} is {_times(found[name])}, not {_times(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    }
    if wrong:
        problems.append(f"wrong shape: {_listed(wrong)}")
    if problems:
        raise MienError(
            f"{file} does not hold the weights of this network\n  " + "\n  ".join(problems),
            hint="is it the file that the name stands for? see mien weights list",
        )


Sources = dict[str, Source]
Ignored = tuple[str, ...]


def _keras(backbone: nn.Module, arrays: Arrays, *, scaled: bool = True) -> tuple[Sources, Ignored]:
    sources: Sources = {}
    for layer, path, module in _published_layers(backbone):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for ours, theirs in _KERAS_NORM.items():
                if scaled or theirs != "gamma":
                    sources[f"{path}.{ours}"] = Source(f"{layer}/{theirs}")
            continue
        order = (3, 2, 0, 1) if isinstance(module, nn.Conv2d) else (1, 0)
        sources[f"{path}.weight"] = Source(f"{layer}/kernel", order)
        if module.bias is not None:
            sources[f"{path}.bias"] = Source(f"{layer}/bias")
    return sources, ()


def _keras_unscaled(backbone: nn.Module, arrays: Arrays) -> tuple[Sources, Ignored]:
    return _keras(backbone, arrays, scaled=False)


def _facenet_pytorch(backbone: nn.Module, arrays: Arrays) -> tuple[Sources, Ignored]:
    names = (n for n in backbone.state_dict() if not n.endswith("num_batches_tracked"))
    return {name: Source(name) for name in names}, ("logits.",)


def _oxford(backbone: nn.Module, arrays: Arrays) -> tuple[Sources, Ignored]:
    torchvision = any(name.startswith("layer1.") for name in arrays)
    sources: Sources = {}
    for layer, path, module in _published_layers(backbone):
        theirs = _as_torchvision(layer) if torchvision else layer.replace("/", "_")
        for name in module.state_dict():
            if name != "num_batches_tracked":
                sources[f"{path}.{name}"] = Source(f"{theirs}.{name}")
    return sources, ("fc.",) if torchvision else ("classifier.",)


def _as_torchvision(layer: str) -> str:
    """Return torchvision's name for `conv3_1_1x1_reduce/bn`: `layer2.0.bn1`."""
    if layer.startswith("conv1/"):
        return "bn1" if layer.endswith("/bn") else "conv1"
    parts = {published: name for name, published in _TORCHVISION_PARTS.items()}
    match = re.fullmatch(r"conv(\d)_(\d)_(.+)", layer)
    assert match is not None, layer
    return f"layer{int(match[1]) - 1}.{int(match[2]) - 1}.{parts[match[3]]}"


_LAYOUTS: dict[str, Callable[[nn.Module, Arrays], tuple[Sources, Ignored]]] = {
    "keras": _keras,
    "keras-unscaled": _keras_unscaled,
    "facenet-pytorch": _facenet_pytorch,
    "oxford": _oxford,
}


def _published_layers(backbone: nn.Module) -> list[tuple[str, str, nn.Module]]:
    """Return the layers that hold weights: published name, path in the backbone, module."""
    paths = {id(module): path for path, module in backbone.named_modules()}
    published: Mapping[str, nn.Module] = backbone.published_layers()  # type: ignore[operator]
    return [(name, paths[id(module)], module) for name, module in published.items()]


def _published(shape: Shape, order: tuple[int, ...] | None) -> Shape:
    """Return the shape that an array has in its file."""
    if order is None:
        return shape
    published = [0] * len(shape)
    for ours, theirs in enumerate(order):
        published[theirs] = shape[ours]
    return tuple(published)


def _times(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "a single number"


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
