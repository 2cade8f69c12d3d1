"""The embedding: the vector that a network makes of a face before it names an emotion."""

from __future__ import annotations

from torch import Tensor, nn

from mien.errors import MienError


def embed(network: nn.Module, images: Tensor) -> Tensor:
    """Return what the network's head sees of images.

    That is what enters its last layer, before any dropout: of `cnn5` the second fully connected
    layer (512), of `foldnet` and the published backbones the globally pooled features, of
    `inception_resnet_v1` the embedding that FaceNet trains, of SqueezeNet the mean of the maps
    before its last convolution. A backbone's features are taken with either head; the hidden
    layers of the paper's head belong to the head.

    Args:
        network: one that `mien.models.registry.create` built. In training mode batch
            normalization works as in training.
        images: float32, N×C×H×W, 0 to 255, on the network's device.

    Returns:
        float32, N×width; part of the graph where gradients are recorded. Not scaled to length one.

    Raises:
        MienError: the network has no `embed`.
    """
    method = getattr(network, "embed", None)
    if method is None:
        raise MienError(f"{type(network).__name__} is a network that gives no embeddings")
    features: Tensor = method(images)
    # Under autocast they come in half precision.
    return features.float()
