"""Which pictures the sources on a command line mean, and where their annotated copies go."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from mien.errors import MienError
from mien.images.decode import SUFFIXES

STANDARD_INPUT = "-"
"""The source that is one picture, read from standard input."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_WILD = re.compile(r"[*?\[]")
_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')  # in the name of a file, here or on Windows
_LONGEST_NAME = 60  # that a URL gives a file: four bytes a letter and an ending must fit into 255


@dataclass(frozen=True)
class Entry:
    """A picture to recognize.

    Attributes:
        path: the file; it may be missing, which is for the recognizer to say. Where there is an
            `address` it is no file, but what one might be called.
        name: the file's path in the folder that was named, or only its name.
        address: the URL of a picture, `-` for standard input, None for a file.
    """

    path: Path
    name: PurePosixPath
    address: str | None = None

    @property
    def label(self) -> str:
        """What results call it."""
        return str(self.path) if self.address is None else self.address


def find_pictures(sources: Iterable[str], *, urls: bool = False) -> list[Entry]:
    """Return the pictures that sources name, each once, in order.

    A source is the path of a file, which is taken whatever its name is; that of a folder; a pattern
    such as `holiday/**/*.jpg`; `-`; or a URL. Folders and patterns give the files that have one of
    the `SUFFIXES`, sorted, without hidden ones: of a folder all in it and below it, of a pattern
    those that match and those in folders that match. What exists is never taken for a pattern.

    Args:
        sources: as on a command line.
        urls: whether a URL may be a source.

    Raises:
        MienError: a source is a URL and may not be, or a pattern is malformed.
    """
    entries: dict[object, Entry] = {}
    for source in sources:
        for entry in _entries(source, urls):
            key = entry.path.resolve() if entry.address is None else entry.address
            entries.setdefault(key, entry)
    return list(entries.values())


def listed(content: bytes) -> list[str]:
    """Return the sources of a list: one a line, or with a NUL after each as `find -print0` writes.

    Blank lines are passed over; `-` is a file's name here.
    """
    separator = b"\0" if b"\0" in content else b"\n"
    names = [os.fsdecode(line.removesuffix(b"\r")) for line in content.split(separator)]
    return [f"./{name}" if name == STANDARD_INPUT else name for name in names if name.strip()]


def annotated_files(entries: Sequence[Entry], folder: Path) -> list[Path]:
    """Return a file in `folder` for each entry: different from each other and from all entries.

    `party/a.jpg` becomes `party/a-faces.png`; where that is taken, `party/a.jpg-faces.png`, and
    then with a number.
    """
    # Compared without case, as some file systems do.
    taken = {str(entry.path.resolve()).casefold() for entry in entries}
    files = []
    for entry in entries:
        for stem in _stems(entry.name):
            file = folder / entry.name.with_name(f"{stem}-faces.png")
            key = str(file.resolve()).casefold()
            if key not in taken:
                break
        taken.add(key)
        files.append(file)
    return files


def _entries(source: str, urls: bool) -> Iterator[Entry]:
    path = Path(source)
    if source == STANDARD_INPUT:
        yield Entry(Path("stdin"), PurePosixPath("stdin"), source)
    elif _holds(path.is_dir):
        yield from _matches(path, "**/*")
    elif _URL.match(source) and not _holds(path.exists):
        if not urls:
            raise MienError(
                f"{source} is a URL, and nothing is fetched from a network unless you ask for it",
                hint="--allow-urls public fetches pictures from the internet",
            )
        name = _file_name(source)
        yield Entry(Path(name), PurePosixPath(name), source)
    elif _WILD.search(source) and not _holds(path.exists):
        # A pattern without a match is a missing file, as in a shell.
        found = _matches(*_split(path))
        yield from found or [Entry(path, PurePosixPath(path.name))]
    else:
        yield Entry(path, PurePosixPath(path.name or "picture"))


def _holds(question: Callable[[], bool]) -> bool:
    """Ask the system about a path; where it cannot say, the recognizer will say why."""
    try:
        return question()
    except OSError:  # the name is too long for it, or a folder on the way is closed
        return False


def _file_name(url: str) -> str:
    """Return what the picture at a URL might be called; the URL may be malformed."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        path = ""
    return _UNFIT.sub("_", PurePosixPath(path).name)[-_LONGEST_NAME:] or "picture"


def _split(pattern: Path) -> tuple[Path, str]:
    """Return the folder in which a pattern is searched for, and the rest of it."""
    first = next(index for index, part in enumerate(pattern.parts) if _WILD.search(part))
    rest = "/".join(pattern.parts[first:])
    # Whether a last ** matches files or folders alone depends on Python's version.
    return Path(*pattern.parts[:first]), f"{rest}/*" if rest.endswith("**") else rest


def _matches(folder: Path, pattern: str) -> list[Entry]:
    try:
        paths = sorted(folder.glob(pattern))
    except ValueError as error:
        raise MienError(f"{folder / pattern} is no pattern: {error}") from error
    entries = []
    for path in paths:
        inner = path.relative_to(folder)
        if any(part.startswith(".") for part in inner.parts):
            continue
        if path.is_file():
            if path.suffix.lower() in SUFFIXES:
                entries.append(Entry(path, PurePosixPath(inner.as_posix())))
        elif "**" not in pattern:  # which matches what is in folders already
            entries += [
                Entry(below.path, PurePosixPath(inner.as_posix()) / below.name)
                for below in _matches(path, "**/*")
            ]
    return entries


def _stems(name: PurePosixPath) -> Iterator[str]:
    yield name.stem
    yield name.name
    number = 2
    while True:
        yield f"{name.name}-{number}"
        number += 1
