"""Importing a published file: checked, converted to safetensors and put where mien finds it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from mien.errors import MienError
from mien.files import atomic_path, sha256
from mien.models.registry import create
from mien.models.transfer import TransferNetwork
from mien.weights.catalog import Entry
from mien.weights.loading import METADATA_KEY, Origin
from mien.weights.names import convert
from mien.weights.reading import read
from mien.weights.store import OTHER_FILE_HINT, check_published


def import_file(path: Path | str, entry: Entry, *, other_file: bool = False) -> Path:
    """Convert a published file for its network.

    Args:
        path: the published file.
        entry: what it is; it has an architecture.
        other_file: take it although size or SHA-256 on record are others.

    Returns:
        Where the result lies: `entry.path`. Its arrays are named as in the backbone's
        `state_dict` and carry an `Origin`.

    Raises:
        MienError: the file is not what the entry says: size or SHA-256 are others, an array is
            missing, unexpected or of a wrong shape, or it is a pickle that needs more than arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise MienError(f"there is no file {path}")
    checksum = sha256(path) if other_file else check_published(path, entry, OTHER_FILE_HINT)
    with torch.device("meta"):  # Names and shapes are enough.
        network = create(entry.architecture, channels=3, size=160, **entry.options)
    assert isinstance(network, TransferNetwork)
    state = convert(read(path), network.backbone, entry.layout, str(path))
    origin = Origin(
        name=entry.name,
        file=path.name,
        url=entry.url,
        sha256=checksum,
        license=entry.license,
        architecture=entry.architecture,
        options=dict(entry.options),
    )
    with atomic_path(entry.path) as temporary:
        save_file(state, temporary, {METADATA_KEY: json.dumps(asdict(origin))})
    return entry.path
