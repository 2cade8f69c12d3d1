"""The published files on this machine: checked against what is known of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from mien.errors import MienError
from mien.files import atomic_path, atomic_write, sha256
from mien.weights.catalog import Entry, folder


def check(path: Path, entry: Entry) -> None:
    """Compare a file's size and SHA-256 with those on record, or the SHA-256 with the first seen.

    Where neither is known, the file's SHA-256 is recorded as the one first seen.

    Raises:
        MienError: the file is another one.
    """
    size = length(path)
    if entry.size is not None and size != entry.size:
        raise MienError(
            f"{path.name} has {size:,} bytes, but {entry.file} has {entry.size:,}",
            hint=entry.by_another_way(),
        )
    checksum = sha256(path)
    expected = entry.sha256 or first_seen(entry)
    if expected is None:
        atomic_write(_seen_file(), json.dumps(_seen() | {entry.file: checksum}, indent=2) + "\n")
    elif checksum != expected:
        whose = "on record" if entry.sha256 else f"the one first seen ({_seen_file()})"
        raise MienError(
            f"{path.name} has the SHA-256 {checksum}; {whose} is {expected}",
            hint=entry.by_another_way(),
        )


def first_seen(entry: Entry) -> str | None:
    """Return the SHA-256 that was first seen of a file, or None where it was never fetched."""
    return _seen().get(entry.file)


def keep(path: Path, entry: Entry) -> Path:
    """Put a file that needs no conversion where it is used, and return that path.

    Raises:
        MienError: there is no such file, or it is another one.
    """
    if not path.is_file():
        raise MienError(f"there is no file {path}")
    check(path, entry)
    with atomic_path(entry.path) as temporary:
        shutil.copyfile(path, temporary)
    return entry.path


def length(path: Path) -> int:
    """Return a file's bytes, 0 where it is not there."""
    return path.stat().st_size if path.is_file() else 0


def _seen_file() -> Path:
    return folder() / "first-seen.json"


def _seen() -> dict[str, str]:
    if not _seen_file().is_file():
        return {}
    content: dict[str, str] = json.loads(_seen_file().read_text(encoding="utf-8"))
    return content
