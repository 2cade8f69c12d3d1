"""The published Keras networks, written anew from their definitions, with weights drawn at random.

Sources: keras_vggface/models.py of rcmalli/keras-vggface (RESNET50, SENET50, VGG16, include_top
False) and code/inception_resnet_v1.py of nyoki-mtl/keras-facenet, whose block adds its scaled
branches to the block's input as its issue 3 corrects. The file scales and sums in one layer
(`Block35_1_ScaleSum`, as other importers of it name it) where that code has two, which makes 426
layers and not 447. The paper's layer counts and the published parameter counts are asserted of
these definitions in test_keras_networks.py, so that they are not merely ours.

Keras 3 takes no "/" in a layer's name; here it is "|". Import this through the fixture
`keras_networks`, which chooses the backend.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import layers

STAGES = {2: (64, 3), 3: (128, 4), 4: (256, 6), 5: (512, 3)}


def published_name(layer: Any) -> str:
    return str(layer.name).replace("|", "/")


def _conv_norm(x: Any, width: int, kernel: int, name: str, epsilon: float, **options: Any) -> Any:
    name = name.replace("/", "|")
    x = layers.Conv2D(width, kernel, use_bias=False, name=name, **options)(x)
    return layers.BatchNormalization(epsilon=epsilon, name=f"{name}|bn")(x)


def _excited(x: Any, name: str) -> Any:
    width = int(x.shape[-1])
    weights = layers.GlobalAveragePooling2D()(x)
    weights = layers.Reshape((1, 1, width))(weights)
    weights = layers.Conv2D(width // 16, 1, name=f"{name}_1x1_down")(weights)
    weights = layers.Activation("relu")(weights)
    weights = layers.Conv2D(width, 1, name=f"{name}_1x1_up")(weights)
    weights = layers.Activation("sigmoid")(weights)
    return layers.multiply([x, weights])


def _block(x: Any, width: int, name: str, stride: int | None, epsilon: float, senet: bool) -> Any:
    """A block; `stride` is None where its shortcut is the input itself."""
    y = _conv_norm(x, width, 1, f"{name}_1x1_reduce", epsilon, strides=stride or 1)
    y = layers.Activation("relu")(y)
    y = _conv_norm(y, width, 3, f"{name}_3x3", epsilon, padding="same")
    y = layers.Activation("relu")(y)
    y = _conv_norm(y, 4 * width, 1, f"{name}_1x1_increase", epsilon)
    if senet:
        y = _excited(y, name)
    shortcut = x
    if stride is not None:
        shortcut = _conv_norm(x, 4 * width, 1, f"{name}_1x1_proj", epsilon, strides=stride)
    return layers.Activation("relu")(layers.add([y, shortcut]))


def resnet50(size: int, *, senet: bool = False, pooling: bool = False) -> Any:
    """RESNET50, or SENET50; from 197 pixels up they end in a 7×7 pooling, `pooling` adds another.

    Below 197 pixels, where the published networks cannot be built, the mean of the map ends it.
    """
    epsilon = 1e-4 if senet else 1e-3
    images = layers.Input((size, size, 3))
    x = _conv_norm(images, 64, 7, "conv1/7x7_s2", epsilon, strides=2, padding="same")
    x = layers.Activation("relu")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    for stage, (width, count) in STAGES.items():
        for index in range(1, count + 1):
            stride = None if index > 1 else 1 if stage == 2 else 2
            x = _block(x, width, f"conv{stage}_{index}", stride, epsilon, senet)
    if size >= 197:
        x = layers.AveragePooling2D(7, name="avg_pool")(x)
    if size < 197 or pooling:
        x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, x)


def vgg16(size: int) -> Any:
    """VGG16, which ends in the last map."""
    images = x = layers.Input((size, size, 3))
    for block, (width, count) in enumerate(
        [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], start=1
    ):
        for index in range(1, count + 1):
            x = layers.Conv2D(
                width, 3, activation="relu", padding="same", name=f"conv{block}_{index}"
            )(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"pool{block}")(x)
    return keras.Model(images, x)


def _unit(
    x: Any, width: int, kernel: int | tuple[int, int], name: str, stride: int = 1, pad: bool = True
) -> Any:
    padding = "same" if pad else "valid"
    x = layers.Conv2D(width, kernel, strides=stride, padding=padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(
        momentum=0.995, epsilon=0.001, scale=False, name=f"{name}_BatchNorm"
    )(x)
    return layers.Activation("relu", name=f"{name}_Activation")(x)


def _way(x: Any, prefix: str, *steps: tuple[str, int, int | tuple[int, int]]) -> Any:
    for end, width, kernel in steps:
        reduces = end.startswith("1a")
        x = _unit(x, width, kernel, f"{prefix}_Conv2d_{end}", 2 if reduces else 1, not reduces)
    return x


def _residual(x: Any, name: str, scale: float, ways: list[Any], activation: bool = True) -> Any:
    mixed = layers.Concatenate(name=f"{name}_Concatenate")(ways)
    up = layers.Conv2D(int(x.shape[-1]), 1, padding="same", name=f"{name}_Conv2d_1x1")(mixed)
    x = layers.Lambda(lambda pair: pair[0] + scale * pair[1], name=f"{name}_ScaleSum")([x, up])
    return layers.Activation("relu", name=f"{name}_Activation")(x) if activation else x


def _block35(x: Any, name: str) -> Any:
    ways = [
        _way(x, f"{name}_Branch_0", ("1x1", 32, 1)),
        _way(x, f"{name}_Branch_1", ("0a_1x1", 32, 1), ("0b_3x3", 32, 3)),
        _way(x, f"{name}_Branch_2", ("0a_1x1", 32, 1), ("0b_3x3", 32, 3), ("0c_3x3", 32, 3)),
    ]
    return _residual(x, name, 0.17, ways)


def _block17(x: Any, name: str) -> Any:
    long = [("0a_1x1", 128, 1), ("0b_1x7", 128, (1, 7)), ("0c_7x1", 128, (7, 1))]
    ways = [
        _way(x, f"{name}_Branch_0", ("1x1", 128, 1)),
        _way(x, f"{name}_Branch_1", *long),  # type: ignore[arg-type]
    ]
    return _residual(x, name, 0.1, ways)


def _block8(x: Any, name: str, scale: float = 0.2, activation: bool = True) -> Any:
    long = [("0a_1x1", 192, 1), ("0b_1x3", 192, (1, 3)), ("0c_3x1", 192, (3, 1))]
    ways = [
        _way(x, f"{name}_Branch_0", ("1x1", 192, 1)),
        _way(x, f"{name}_Branch_1", *long),  # type: ignore[arg-type]
    ]
    return _residual(x, name, scale, ways, activation)


def _mixed_6a(x: Any) -> Any:
    long = ("0a_1x1", 192, 1), ("0b_3x3", 192, 3), ("1a_3x3", 256, 3)
    pooled = layers.MaxPooling2D(3, strides=2, name="Mixed_6a_Branch_2_MaxPool_1a_3x3")
    ways = [
        _way(x, "Mixed_6a_Branch_0", ("1a_3x3", 384, 3)),
        _way(x, "Mixed_6a_Branch_1", *long),
        pooled(x),
    ]
    return layers.Concatenate(name="Mixed_6a")(ways)


def _mixed_7a(x: Any) -> Any:
    long = ("0a_1x1", 256, 1), ("0b_3x3", 256, 3), ("1a_3x3", 256, 3)
    pooled = layers.MaxPooling2D(3, strides=2, name="Mixed_7a_Branch_3_MaxPool_1a_3x3")
    ways = [
        _way(x, "Mixed_7a_Branch_0", ("0a_1x1", 256, 1), ("1a_3x3", 384, 3)),
        _way(x, "Mixed_7a_Branch_1", ("0a_1x1", 256, 1), ("1a_3x3", 256, 3)),
        _way(x, "Mixed_7a_Branch_2", *long),
        pooled(x),
    ]
    return layers.Concatenate(name="Mixed_7a")(ways)


def facenet(size: int) -> Any:
    """InceptionResNetV1 with 128 outputs, as in facenet_keras.h5."""
    images = layers.Input((size, size, 3))
    x = _unit(images, 32, 3, "Conv2d_1a_3x3", 2, pad=False)
    x = _unit(x, 32, 3, "Conv2d_2a_3x3", pad=False)
    x = _unit(x, 64, 3, "Conv2d_2b_3x3")
    x = layers.MaxPooling2D(3, strides=2, name="MaxPool_3a_3x3")(x)
    x = _unit(x, 80, 1, "Conv2d_3b_1x1", pad=False)
    x = _unit(x, 192, 3, "Conv2d_4a_3x3", pad=False)
    x = _unit(x, 256, 3, "Conv2d_4b_3x3", 2, pad=False)
    for index in range(1, 6):
        x = _block35(x, f"Block35_{index}")
    x = _mixed_6a(x)
    for index in range(1, 11):
        x = _block17(x, f"Block17_{index}")
    x = _mixed_7a(x)
    for index in range(1, 6):
        x = _block8(x, f"Block8_{index}")
    x = _block8(x, "Block8_6", scale=1.0, activation=False)
    x = layers.GlobalAveragePooling2D(name="AvgPool")(x)
    x = layers.Dropout(0.2, name="Dropout")(x)
    x = layers.Dense(128, use_bias=False, name="Bottleneck")(x)
    x = layers.BatchNormalization(
        momentum=0.995, epsilon=0.001, scale=False, name="Bottleneck_BatchNorm"
    )(x)
    return keras.Model(images, x)


def weighted(model: Any) -> Iterable[Any]:
    return (layer for layer in model.layers if layer.weights)


def randomize(model: Any, seed: int = 0) -> None:
    """Draw all weights, the statistics of batch normalization too, so that nothing is a default.

    Signals keep their scale: what saturates a sigmoid would hide one error and blow up another.
    """
    random = np.random.default_rng(seed)
    for layer in weighted(model):
        values = []
        for variable in layer.weights:
            shape = tuple(variable.shape)
            part = variable.name.rsplit("/", 1)[-1]
            if part == "kernel":
                scale = np.prod(shape[:-1]) ** -0.5
                values.append(random.normal(0, scale, shape))
            elif part in ("gamma", "moving_variance"):
                values.append(random.uniform(0.5, 1.5, shape))
            else:
                values.append(random.normal(0, 0.1, shape))
        layer.set_weights(values)


def save_as_keras_2(model: Any, path: Path, *, whole: bool = False) -> None:
    """Write weights as Keras 2 did: a group a layer, names in attributes.

    `whole` is the layout of `model.save`, which keeps them in the group `model_weights`.
    """
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        root.attrs["layer_names"] = [published_name(x).encode() for x in model.layers]
        root.attrs["backend"] = b"tensorflow"
        for layer in model.layers:
            name = published_name(layer)
            group = root.require_group(name)
            names = [f"{name}/{v.name.rsplit('/', 1)[-1]}:0" for v in layer.weights]
            group.attrs["weight_names"] = [n.encode() for n in names]
            for weight, value in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(weight, data=value)
