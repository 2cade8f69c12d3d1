"""Our networks against Keras's, layer for layer, with weights that went through a file of Keras 2.

The Keras networks are those of keras_definitions.py. All weights are drawn at random,
the statistics of batch normalization too, so a swapped or forgotten array shows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mien.models.registry import create
from mien.models.transfer import TransferNetwork
from mien.weights.catalog import find
from mien.weights.importing import import_file
from mien.weights.loading import load_into

# Keras's own code is not yet written for NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize(
    ("build", "layers", "parameters"),
    [
        # Vepuri 2021: FaceNet 426, ResNet-50 175, SENet-50 286, VGG-16 19. Its ResNet-50 has one
        # layer more than keras-vggface's definition gives: the pooling that it asks for.
        (lambda k: k.facenet(160), 426, (22_779_312, 28_832)),
        (lambda k: k.resnet50(224, pooling=True), 175, (23_508_032, 53_120)),
        (lambda k: k.resnet50(224, senet=True), 286, (26_039_024, 53_120)),
        (lambda k: k.vgg16(224), 19, (14_714_688, 0)),
    ],
    ids=["facenet", "resnet50", "senet50", "vgg16"],
)
def test_the_keras_networks_are_those_that_were_published(
    build: Callable[[Any], Any],
    layers: int,
    parameters: tuple[int, int],
    keras_networks: ModuleType,
) -> None:
    model = build(keras_networks)
    assert len(model.layers) == layers
    trainable, fixed = (
        sum(int(np.prod(w.shape)) for w in weights)
        for weights in (model.trainable_weights, model.non_trainable_weights)
    )
    assert (trainable, fixed) == parameters


def _outputs_of_keras(
    definitions: Any, model: Any, images: np.ndarray[Any, Any]
) -> dict[str, Tensor]:
    """Return the output of every layer that holds weights, and of the last layer, N×C×H×W."""
    chosen = list(definitions.weighted(model))
    outputs = definitions.keras.Model(model.input, [x.output for x in chosen] + [model.output])
    values = [torch.as_tensor(v).detach().cpu() for v in outputs(images, training=False)]
    names = [definitions.published_name(layer) for layer in chosen] + ["end"]
    return {
        name: value.permute(0, 3, 1, 2) if value.ndim == 4 else value
        for name, value in zip(names, values, strict=True)
    }


def _outputs_of_ours(network: TransferNetwork, images: Tensor) -> dict[str, Tensor]:
    """Return the same of our backbone, by published names."""
    found: dict[str, Tensor] = {}
    for name, layer in network.backbone.published_layers().items():

        def record(_: nn.Module, __: Any, output: Tensor, name: str = name) -> None:
            found[name] = output

        layer.register_forward_hook(record)
    with torch.no_grad():
        found["end"] = network.eval().backbone(images)
    return found


@pytest.mark.parametrize(
    ("entry", "size", "build"),
    [
        ("keras-vggface-resnet50", 64, lambda k: k.resnet50(64)),
        ("keras-vggface-resnet50", 75, lambda k: k.resnet50(75)),
        ("keras-vggface-resnet50", 197, lambda k: k.resnet50(197)),
        ("keras-vggface-senet50", 64, lambda k: k.resnet50(64, senet=True)),
        ("keras-vggface-vgg16", 64, lambda k: k.vgg16(64)),
        ("keras-facenet", 96, lambda k: k.facenet(96)),
    ],
)
def test_every_layer_gives_what_keras_gives(
    entry: str,
    size: int,
    build: Callable[[Any], Any],
    tmp_path: Path,
    keras_networks: ModuleType,
) -> None:
    model = build(keras_networks)
    keras_networks.randomize(model)
    published = find(entry)
    file = tmp_path / published.file
    keras_networks.save_as_keras_2(model, file, whole=entry == "keras-facenet")
    import_file(file, published, other_file=True)
    network = create(published.architecture, size=size, channels=3, **published.options)
    assert isinstance(network, TransferNetwork)
    load_into(network, entry, architecture=published.architecture, options=dict(published.options))

    images = np.random.default_rng(1).normal(0, 1, (2, size, size, 3)).astype(np.float32)
    theirs = _outputs_of_keras(keras_networks, model, images)
    ours = _outputs_of_ours(network, torch.from_numpy(images).permute(0, 3, 1, 2))
    if entry == "keras-vggface-vgg16":
        # There the activation is within the layer; the published network ends in a map.
        ours = {n: v.relu() if n != "end" else v for n, v in ours.items()}
        theirs["end"] = theirs["end"].mean(dim=(2, 3))
    if entry.startswith("keras-vggface"):
        theirs["end"] = theirs["end"].flatten(1)
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        found = ours[name].reshape(expected.shape)
        error = (found - expected).abs().max() / expected.abs().max()
        assert error < 1e-5, name
