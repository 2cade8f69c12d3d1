"""Files that are either whole or not there: atomic writes of files and folders, and checksums."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mien.errors import MienError


@contextlib.contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `target`; on success it is synced and takes `target`'s place.

    When the body raises or the process is killed, `target` is as it was before. The temporary
    file has the suffix of the target, so that libraries that choose a format by suffix work.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        # mkstemp makes private files; a result has the permissions of any new file.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(target: Path | str, content: bytes | str) -> None:
    """Write `content` to `target` (text as UTF-8), whole or not at all."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def atomic_directory(target: Path | str) -> Iterator[Path]:
    """Give a temporary folder beside `target`; on success it is renamed to `target`.

    Raises:
        MienError: `target` exists already and is not an empty folder.
    """
    target = Path(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise MienError(
            f"{target} exists already", hint="choose another folder, or remove this one first"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                _sync(path)
        temporary.chmod(0o777 & ~_umask())
        if target.is_dir():
            target.rmdir()  # it is empty, and Windows puts no folder in the place of one
        temporary.replace(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def relative(path: Path | str, folder: Path | str) -> str:
    """Return a path as it is seen from a folder, with `/`, so that both can be moved together.

    On another drive of Windows, from which no such path leads, it is the absolute path.
    """
    path = Path(path).resolve()
    try:
        return Path(os.path.relpath(path, Path(folder).resolve())).as_posix()
    except ValueError:
        return path.as_posix()


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    if os.name == "nt":
        return  # Windows opens no folder, and syncs no file that is open for reading.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
