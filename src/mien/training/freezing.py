"""Which parts of a network learn in a stage."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mien.errors import MienError, nearest


class Freeze:
    """Keeps parts of a network as they are.

    Gradients flow through what is frozen wherever something below it learns; autograd stops by
    itself where nothing does.

    Args:
        network: its parameters' `requires_grad` is set, and gradients of before are dropped.
        what: see `mien.training.recipe.Stage`.

    Raises:
        MienError: the network has no backbone, or its backbone no such layer.
    """

    def __init__(self, network: nn.Module, what: str) -> None:
        network.requires_grad_(True)
        network.zero_grad()  # no optimizer would empty those of what is frozen from now on
        self._still: list[nn.Module] = []
        if what == "nothing":
            return
        backbone = getattr(network, "backbone", None)
        if not isinstance(backbone, nn.Module):
            raise MienError(
                f"freeze {what!r} needs a network with a backbone and a head, which this is not",
                hint='set the stage\'s freeze = "nothing", or use resnet50, senet50, vgg16 or '
                "inception_resnet_v1",
            )
        if what == "all-but-norms":
            backbone.requires_grad_(False)
            for module in backbone.modules():
                if isinstance(module, _BatchNorm):
                    module.requires_grad_(True)
            return
        frozen = [backbone] if what == "backbone" else _layers_before(backbone, what)
        for part in frozen:
            part.requires_grad_(False)
            self._still += [m for m in part.modules() if isinstance(m, _BatchNorm)]

    def train(self, network: nn.Module) -> None:
        """Set a network to training, but batch normalizations that are frozen to inference.

        So does Keras: a frozen batch normalization uses its moving statistics and keeps them.
        """
        network.train()
        for norm in self._still:
            norm.eval()


def _layers_before(backbone: nn.Module, name: str) -> list[nn.Module]:
    published = getattr(backbone, "published_layers", None)
    layers: dict[str, nn.Module] = published() if callable(published) else {}
    if name not in layers:
        known = ["nothing", "all-but-norms", "backbone", *layers]
        raise MienError(f"there is no layer {name!r} to freeze before", hint=nearest(name, known))
    names = list(layers)
    return [layers[before] for before in names[: names.index(name)]]
