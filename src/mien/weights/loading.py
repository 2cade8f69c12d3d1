"""Imported weights: what is known of a file of them, and loading it into a network's backbone."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from mien.errors import MienError
from mien.files import sha256
from mien.models.registry import architectures
from mien.models.transfer import TransferNetwork
from mien.weights.catalog import located
from mien.weights.names import check_names

METADATA_KEY = "mien.weights"
"""Where a converted file's `Origin` is kept in its metadata, as JSON."""


@dataclass(frozen=True)
class Origin:
    """Where converted weights come from; a run's record keeps it.

    Attributes:
        name: the catalog's name.
        file: the published file's name.
        url: where it is published.
        sha256: of the published file.
        license: what its publishers say.
        architecture: the network that takes the weights.
        options: the options of that network that decide whether the weights fit.
    """

    name: str
    file: str
    url: str
    sha256: str
    license: str
    architecture: str
    options: dict[str, Any]


def load_into(
    network: nn.Module, source: str, *, architecture: str, options: Mapping[str, Any]
) -> None:
    """Load imported weights into a network's backbone; the head stays as it is.

    Args:
        network: what `mien.models.registry.create` built, with a backbone of three channels.
        source: a name of the catalog, or the path of a file that `mien weights import` wrote.
        architecture: the name under which the network was built (a recipe's `model.name`).
        options: the options it was built with (a recipe's `model.options`).

    Raises:
        MienError: the weights are not on this machine, or do not belong to this network.
    """
    path = weights_path(source)
    known = _origin(path)
    if not isinstance(network, TransferNetwork):
        raise MienError(
            f"{architecture} has no backbone that takes published weights",
            hint="leave out model.weights, or train one of the architectures that have",
        )
    if known.architecture != architecture:
        raise MienError(
            f"{source} holds weights of {known.architecture}, not of {architecture}",
            hint=f'model.name = "{known.architecture}"',
        )
    _check_options(source, known, options)
    if network.input.channels != 3:
        raise MienError(
            f"{source} begins with a convolution of three channels; the network's has one",
            hint="model.options.repeat_gray = true (or color images)",
        )
    state = load_file(path)
    check_names(
        {name: tuple(value.shape) for name, value in state.items()},
        {name: tuple(value.shape) for name, value in network.backbone.state_dict().items()},
        str(path),
    )
    network.backbone.load_state_dict(state)


def record(source: str) -> dict[str, Any]:
    """Return what a run keeps of its pretrained weights: an `Origin`, and the file's SHA-256.

    Args:
        source: as for `load_into`.

    Raises:
        MienError: the weights are not on this machine, or the file was not written by mien.
    """
    path = weights_path(source)
    return {"source": source, "converted_sha256": sha256(path), **asdict(_origin(path))}


def weights_path(source: str) -> Path:
    """Return the file of imported weights that a catalog's name or a path stands for.

    Raises:
        MienError: there is no such name or file, with what to do.
    """
    path = Path(source)
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise MienError(f"there is no file {path}", hint="see mien weights list")
        return path
    return located(source)


def _origin(path: Path) -> Origin:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
    except SafetensorError as error:
        raise MienError(f"{path} is damaged: {error}", hint="import it again") from error
    if text is None:
        raise MienError(
            f"{path} does not say whose weights it holds",
            hint="write it with: mien weights import FILE --as NAME",
        )
    try:
        origin = Origin(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise _foreign(path) from error
    if not _is_sound(origin):
        raise _foreign(path)
    return origin


def _foreign(path: Path) -> MienError:
    return MienError(
        f"{path} says otherwise than mien writes it whose weights it holds",
        hint="write it with: mien weights import FILE --as NAME",
    )


def _is_sound(origin: Origin) -> bool:
    """Say whether all values are of their kind, and the network and its options are known."""
    texts = {name: value for name, value in asdict(origin).items() if name != "options"}
    if not all(isinstance(value, str) for value in texts.values()):
        return False
    if not isinstance(origin.options, dict) or origin.architecture not in architectures():
        return False
    builder = architectures()[origin.architecture].build
    return origin.options.keys() <= inspect.signature(builder).parameters.keys()


def _check_options(source: str, known: Origin, options: Mapping[str, Any]) -> None:
    # What the recipe does not say has the builder's default.
    parameters = inspect.signature(architectures()[known.architecture].build).parameters
    for name, expected in known.options.items():
        found = options.get(name, parameters[name].default)
        if found != expected:
            raise MienError(
                f"{source} needs {name} = {expected!r}, but the network was built with {found!r}",
                hint=f"model.options.{name} = {json.dumps(expected)}",
            )
