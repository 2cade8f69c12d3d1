"""The published files on this machine: checked against what is known of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from mien.errors import MienError
from mien.files import atomic_path, atomic_write, sha256
from mien.weights.catalog import Entry, folder

OTHER_FILE_HINT = "download it again; if it is the file that you mean: --other-file"
"""How an import of another file than the one on record goes on."""


def check_published(path: Path, entry: Entry, hint: str) -> str:
    """Compare a file's size and SHA-256 with those on record, where somebody published them.

    Returns:
        The file's SHA-256.

    Raises:
        MienError: the file is another one; with the hint given.
    """
    checksum = sha256(path)
    size = length(path)
    if entry.size is not None and size != entry.size:
        what = f"{path.name} has {size:,} bytes, but {entry.file} has {entry.size:,}"
        hashes = f"; its SHA-256 is {checksum}" + (
            f"; on record is {entry.sha256}" if entry.sha256 else ""
        )
        raise MienError(what + hashes, hint=hint)
    if entry.sha256 and checksum != entry.sha256:
        raise MienError(
            f"{path.name} has the SHA-256 {checksum}; on record is {entry.sha256}", hint=hint
        )
    return checksum


def check(path: Path, entry: Entry) -> None:
    """Compare a file's size and SHA-256 with those on record, or the SHA-256 with the first seen.

    Where neither is known, the file's SHA-256 is recorded as the one first seen.

    Raises:
        MienError: the file is another one.
    """
    checksum = check_published(path, entry, entry.by_another_way())
    if entry.sha256:
        return
    # What has no published SHA-256 are weights of networks, which need the extra "train" anyway.
    import filelock

    folder().mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(_seen_file().with_suffix(".lock")):
        seen = _seen()
        expected = seen.setdefault(entry.file, checksum)
        if expected != checksum:
            raise MienError(
                f"{path.name} has the SHA-256 {checksum}; the one first seen ({_seen_file()}) is "
                f"{expected}",
                hint=entry.by_another_way(),
            )
        atomic_write(_seen_file(), json.dumps(seen, indent=2) + "\n")


def first_seen(entry: Entry) -> str | None:
    """Return the SHA-256 that was first seen of a file, or None where it was never fetched."""
    return _seen().get(entry.file)


def keep(path: Path, entry: Entry, *, other_file: bool = False) -> Path:
    """Put a file that needs no conversion where it is used, and return that path.

    Args:
        path: the published file.
        entry: what it is.
        other_file: take it although size or SHA-256 on record are others.

    Raises:
        MienError: there is no such file, or it is another one.
    """
    if not path.is_file():
        raise MienError(f"there is no file {path}")
    if not other_file:
        check_published(path, entry, OTHER_FILE_HINT)
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
    try:
        content = json.loads(_seen_file().read_text(encoding="utf-8"))
    except ValueError as error:
        raise MienError(f"{_seen_file()} is damaged: {error}", hint="mend or remove it") from error
    if not isinstance(content, dict):
        raise MienError(f"{_seen_file()} is no JSON object", hint="mend or remove it")
    return content
