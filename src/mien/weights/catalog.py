"""The catalog of published files, and where they lie on this machine."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from mien.errors import MienError, nearest

HOME_VARIABLE = "MIEN_HOME"
"""The environment variable that names another folder than the platform's for caches."""


@dataclass(frozen=True)
class Entry:
    """A published file.

    Attributes:
        name: what recipes and `mien weights` call it.
        summary: one line for lists.
        file: the published file's own name.
        url: where it is published.
        license: what its publishers say.
        by_hand: `url` is a page that only a person can download from.
        size: in bytes, or None where nobody published it.
        sha256: 64 hexadecimal digits, or empty where nobody published them.
        checksum_source: who published size and SHA-256.
        architecture: the network that takes the weights; empty for a file that is kept as it is.
        options: the options of that network that decide whether the weights fit.
        layout: how the file names its arrays; see `mien.weights.names`.
    """

    name: str
    summary: str
    file: str
    url: str
    license: str
    by_hand: bool = False
    size: int | None = None
    sha256: str = ""
    checksum_source: str = ""
    architecture: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    layout: str = ""

    @property
    def path(self) -> Path:
        """Where the file that is used lies: converted weights, or the published file itself."""
        name = f"{self.name}.safetensors" if self.architecture else self.file
        return folder() / name

    @property
    def download(self) -> Path:
        """Where the published file lies as it was fetched."""
        return folder() / "downloads" / self.file

    def by_another_way(self) -> str:
        """Return in one line how to get the file without this machine's network."""
        return (
            f"download {self.url} elsewhere, then: mien weights import {self.file} "
            f"--as {self.name} (or put the file at {self.download} and fetch again)"
        )


@cache
def catalog() -> dict[str, Entry]:
    """Return all entries by name, in the order of the file."""
    text = (resources.files("mien.weights") / "catalog.toml").read_text(encoding="utf-8")
    return {name: Entry(name, **table) for name, table in tomllib.loads(text).items()}


def find(name: str) -> Entry:
    """Return an entry by name.

    Raises:
        MienError: there is none.
    """
    if name not in catalog():
        raise MienError(
            f"there are no published weights {name!r}",
            hint=f"{nearest(name, catalog())}; see mien weights list",
        )
    return catalog()[name]


def located(name: str) -> Path:
    """Return the path of a catalog file that is there, ready for use.

    Raises:
        MienError: the name is unknown, or the file was neither fetched nor imported.
    """
    entry = find(name)
    if not entry.path.is_file():
        raise MienError(
            f"{name} is not on this machine ({entry.path})",
            hint=f"mien weights fetch {name}, or mien weights import FILE --as {name}",
        )
    return entry.path


def folder() -> Path:
    """Return the folder of all weights: `weights` below $MIEN_HOME or the platform's cache."""
    if home := os.environ.get(HOME_VARIABLE):
        return Path(home).expanduser() / "weights"
    return _platform_cache() / "mien" / "weights"


def _platform_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
