"""The same weights in the layouts of several published files, names listed from their definitions.

- rcmalli/keras-vggface, keras_vggface/models.py (resnet_conv_block, senet_conv_block);
- the PyTorch modules of the Oxford release: its Caffe names with "_" for "/";
- cydonia999/VGGFace2-pytorch, models/resnet.py and senet.py: torchvision's names, conv4 and conv5
  for the excitation;
- timesler/facenet-pytorch, models/inception_resnet_v1.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.float32]]

STAGES = {2: (64, 256, 3), 3: (128, 512, 4), 4: (256, 1024, 6), 5: (512, 2048, 3)}


def resnet_convolutions(senet: bool) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield keras-vggface's name, torchvision's name and PyTorch's shape of every convolution."""
    yield "conv1/7x7_s2", "conv1", (64, 3, 7, 7)
    width_in = 64
    for stage, (narrow, wide, count) in STAGES.items():
        for index in range(1, count + 1):
            keras, torch = f"conv{stage}_{index}", f"layer{stage - 1}.{index - 1}"
            yield f"{keras}_1x1_reduce", f"{torch}.conv1", (narrow, width_in, 1, 1)
            yield f"{keras}_3x3", f"{torch}.conv2", (narrow, narrow, 3, 3)
            yield f"{keras}_1x1_increase", f"{torch}.conv3", (wide, narrow, 1, 1)
            if index == 1:
                yield f"{keras}_1x1_proj", f"{torch}.downsample.0", (wide, width_in, 1, 1)
            if senet:
                yield f"{keras}_1x1_down", f"{torch}.conv4", (wide // 16, wide, 1, 1)
                yield f"{keras}_1x1_up", f"{torch}.conv5", (wide, wide // 16, 1, 1)
            width_in = wide


@cache
def resnet(senet: bool) -> tuple[Arrays, Arrays, Arrays]:
    """Return weights drawn at random as keras-vggface, Oxford and torchvision name them."""
    random = np.random.default_rng(0)
    keras: Arrays = {}
    oxford: Arrays = {}
    torchvision: Arrays = {}

    def add(shape: tuple[int, ...], *names: str) -> None:
        value = random.random(shape, np.float32)
        keras[names[0]] = value.transpose(2, 3, 1, 0) if len(shape) == 4 else value
        oxford[names[1]] = torchvision[names[2]] = value

    for name, torch, shape in resnet_convolutions(senet):
        flat = name.replace("/", "_")
        add(shape, f"{name}/kernel", f"{flat}.weight", f"{torch}.weight")
        if name.endswith(("_down", "_up")):
            add(shape[:1], f"{name}/bias", f"{flat}.bias", f"{torch}.bias")
            continue
        norm = torch.replace("conv", "bn").replace("downsample.0", "downsample.1")
        for theirs, ours in [
            ("gamma", "weight"),
            ("beta", "bias"),
            ("moving_mean", "running_mean"),
            ("moving_variance", "running_var"),
        ]:
            add(shape[:1], f"{name}/bn/{theirs}", f"{flat}_bn.{ours}", f"{norm}.{ours}")
    oxford["classifier.weight"] = np.zeros((10, 2048, 1, 1), np.float32)
    torchvision["fc.weight"] = np.zeros((10, 2048), np.float32)
    return keras, oxford, torchvision


def save_keras(arrays: Arrays, path: Path) -> None:
    """Write `layer/weight` arrays as Keras 2's save_weights did."""
    layers: dict[str, list[str]] = {}
    for name in arrays:
        layer, weight = name.rsplit("/", 1)
        layers.setdefault(layer, []).append(weight)
    with h5py.File(path, "w") as file:
        # Layers without weights are listed too.
        file.attrs["layer_names"] = [b"input_1", *(layer.encode() for layer in layers)]
        file.create_group("input_1").attrs["weight_names"] = np.zeros(0)
        for layer, weights in layers.items():
            group = file.require_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{w}:0".encode() for w in weights]
            for weight in weights:
                group.create_dataset(f"{layer}/{weight}:0", data=arrays[f"{layer}/{weight}"])


def facenet_pytorch(classes: int = 10) -> Arrays:
    """Return weights drawn at random as facenet-pytorch's InceptionResnetV1 names them."""
    random = np.random.default_rng(0)
    arrays: Arrays = {}

    def add(name: str, *shape: int) -> None:
        arrays[name] = random.random(shape, np.float32)

    def norm(name: str, width: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            add(f"{name}.{part}", width)
        arrays[f"{name}.num_batches_tracked"] = np.zeros((), np.float32)

    def basic(name: str, width_in: int, width: int, height: int = 1, breadth: int = 1) -> None:
        add(f"{name}.conv.weight", width, width_in, height, breadth)
        norm(f"{name}.bn", width)

    def way(name: str, width_in: int, *steps: tuple[int, int, int]) -> None:
        for index, (width, height, breadth) in enumerate(steps):
            basic(f"{name}.{index}", width_in, width, height, breadth)
            width_in = width

    def up(name: str, width_in: int, width: int) -> None:
        add(f"{name}.conv2d.weight", width, width_in, 1, 1)
        add(f"{name}.conv2d.bias", width)

    def block8(name: str) -> None:
        basic(f"{name}.branch0", 1792, 192)
        way(f"{name}.branch1", 1792, (192, 1, 1), (192, 1, 3), (192, 3, 1))
        up(name, 384, 1792)

    basic("conv2d_1a", 3, 32, 3, 3)
    basic("conv2d_2a", 32, 32, 3, 3)
    basic("conv2d_2b", 32, 64, 3, 3)
    basic("conv2d_3b", 64, 80)
    basic("conv2d_4a", 80, 192, 3, 3)
    basic("conv2d_4b", 192, 256, 3, 3)
    for index in range(5):
        name = f"repeat_1.{index}"
        basic(f"{name}.branch0", 256, 32)
        way(f"{name}.branch1", 256, (32, 1, 1), (32, 3, 3))
        way(f"{name}.branch2", 256, (32, 1, 1), (32, 3, 3), (32, 3, 3))
        up(name, 96, 256)
    basic("mixed_6a.branch0", 256, 384, 3, 3)
    way("mixed_6a.branch1", 256, (192, 1, 1), (192, 3, 3), (256, 3, 3))
    for index in range(10):
        name = f"repeat_2.{index}"
        basic(f"{name}.branch0", 896, 128)
        way(f"{name}.branch1", 896, (128, 1, 1), (128, 1, 7), (128, 7, 1))
        up(name, 256, 896)
    way("mixed_7a.branch0", 896, (256, 1, 1), (384, 3, 3))
    way("mixed_7a.branch1", 896, (256, 1, 1), (256, 3, 3))
    way("mixed_7a.branch2", 896, (256, 1, 1), (256, 3, 3), (256, 3, 3))
    for index in range(5):
        block8(f"repeat_3.{index}")
    block8("block8")
    add("last_linear.weight", 512, 1792)
    norm("last_bn", 512)
    add("logits.weight", classes, 512)
    add("logits.bias", classes)
    return arrays
