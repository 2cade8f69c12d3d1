"""Walking through a source's folders: without hidden ones, in one order, and once for all formats.

A data set may have a million files, and every format looks at their names to recognize its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Listing:
    """What lies under a folder, hidden files and folders left out.

    Attributes:
        files: all files, in natural order.
        folders: all folders, sorted.
    """

    files: list[Path]
    folders: list[Path]


_walked: ContextVar[dict[Path, Listing] | None] = ContextVar("walked", default=None)


@contextmanager
def walking_once() -> Iterator[None]:
    """Within this context each folder is walked through once; what changes there is not seen."""
    token = _walked.set({})
    try:
        yield
    finally:
        _walked.reset(token)


def listing(folder: Path) -> Listing:
    """Return what lies under a folder; links to folders are listed but not followed."""
    known = _walked.get()
    if known is None:
        return _walk(folder)
    if folder not in known:
        known[folder] = _walk(folder)
    return known[folder]


def visible(folder: Path, suffix: str = "") -> list[Path]:
    """Return the files under `folder` whose name ends so, without hidden ones, in natural order."""
    return [path for path in listing(folder).files if path.name.casefold().endswith(suffix)]


def hidden(name: str) -> bool:
    """Say whether a file's or folder's name is one that systems make for themselves."""
    return name.startswith(".") or name == "__MACOSX"


def natural(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts `a2` before `a10`."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _walk(folder: Path) -> Listing:
    files: list[Path] = []
    folders: list[Path] = []
    for name, below, here in os.walk(folder):
        below[:] = [each for each in below if not hidden(each)]  # the others are not entered
        root = Path(name)
        folders += [root / each for each in below]
        files += [path for each in here if not hidden(each) and (path := root / each).is_file()]
    return Listing(sorted(files, key=natural), sorted(folders))
