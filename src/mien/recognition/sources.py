"""Which pictures the paths on a command line mean, and where their annotated copies go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mien.images.decode import SUFFIXES


@dataclass(frozen=True)
class Entry:
    """A picture to recognize.

    Attributes:
        path: the file; it may be missing, which is for the recognizer to say.
        name: the file's path in the folder that was named, or only its name.
    """

    path: Path
    name: PurePosixPath


def find_pictures(sources: Iterable[str]) -> list[Entry]:
    """Return the pictures that paths of files and folders name, each once, in order.

    A folder gives all files in it and below it that have one of the `SUFFIXES`, sorted, without
    hidden ones; a file is taken whatever its name is.
    """
    entries: dict[Path, Entry] = {}
    for source in sources:
        for entry in _entries(Path(source)):
            entries.setdefault(entry.path.resolve(), entry)
    return list(entries.values())


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


def _entries(source: Path) -> Iterator[Entry]:
    if not source.is_dir():
        yield Entry(source, PurePosixPath(source.name or "picture"))
        return
    for path in sorted(source.rglob("*")):
        inner = path.relative_to(source)
        hidden = any(part.startswith(".") for part in inner.parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            yield Entry(path, PurePosixPath(inner.as_posix()))


def _stems(name: PurePosixPath) -> Iterator[str]:
    yield name.stem
    yield name.name
    number = 2
    while True:
        yield f"{name.name}-{number}"
        number += 1
