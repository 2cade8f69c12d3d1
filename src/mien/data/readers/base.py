"""What every reader of a source offers, and the rows that it gives."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mien.data.problems import Problems
from mien.data.readers.walk import natural, visible
from mien.data.splits import split_order
from mien.files import sha256


@dataclass(frozen=True)
class Rows:
    """Some good rows of a source; all five have the same length.

    Attributes:
        images: uint8, each H×W or H×W×3 (RGB); one array where all have one size.
        labels: 0 to 6, or -1 where the emotion is not known.
        splits: names out of `mien.data.cache.SPLITS`.
        names: unique within a split.
        places: each row's place in its split of this source from 0, bad rows counted: what
            FER+'s votes are joined by.
    """

    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
    labels: Sequence[int]
    splits: Sequence[str]
    names: Sequence[str]
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Sequence[int]) -> Rows:
        """Return some of the rows, counted from 0."""
        images = self.images
        return Rows(
            images[list(rows)] if isinstance(images, np.ndarray) else [images[row] for row in rows],
            [self.labels[row] for row in rows],
            [self.splits[row] for row in rows],
            [self.names[row] for row in rows],
            [self.places[row] for row in rows],
        )


LEFT_OUT = frozenset(("contempt", "none", "uncertain", "non-face"))
"""Classes of other data sets that FER2013 does not have; their images are left out and counted."""


@dataclass(frozen=True)
class Options:
    """What some formats leave open.

    Attributes:
        peak_frames: of a labeled sequence, how many of the last frames have its label.
        validation_subjects: of a data set that names its subjects but has no splits, the share of
            subjects whose images are for validation, 0 to below 1.
    """

    peak_frames: int = 1
    validation_subjects: float = 0.0


class Reader(ABC):
    """One source in one format; a subclass is a format, and `mien.data.readers` lists them.

    Attributes:
        format: the format's name, for people.
        in_order: rows come in the order of the official file, so FER+'s votes can be joined.
        own_names: names are the data's own, which need not be unique.
        path: the file or folder.
        split: the split that the path's name spells, where the whole source is one split.
        rows: about how many rows there are, for the progress bar.
        seen: rows seen so far by split, bad ones counted.
        left_out: good rows of classes that are none of the seven, by class ("contempt").
        options: what is asked of the formats that leave a choice.
        note: what the user should know of the rows that were read, or nothing.
    """

    format: ClassVar[str]
    in_order: ClassVar[bool] = True
    own_names: ClassVar[bool] = False
    suffix: ClassVar[str] = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.split: str | None = None
        self.rows = 0
        self.seen: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.options = Options()
        self.note = ""

    @classmethod
    def find(cls, path: Path) -> list[Self]:
        """Return a reader for each source of this format that `path` is or, a folder, holds."""
        files = [path] if path.is_file() else visible(path, cls.suffix)
        found = [cls(file) for file in files if cls.recognizes(file)]
        return sorted(found, key=lambda reader: (split_order(reader.split), natural(reader.path)))

    @classmethod
    @abstractmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether a file is of this format, by a look at its beginning."""

    @abstractmethod
    def read(self, *, color: bool, problems: Problems) -> Iterator[Rows]:
        """Give the good rows, batch by batch, and add what is bad to `problems`.

        A reader whose format has only gray images may give these where `color` is asked for.
        """

    def sha256(self) -> str:
        """Return the SHA-256 of the source."""
        return sha256(self.path)

    def place(self, split: str) -> int:
        """Count a row of `split`, good or bad, and return its place."""
        place = self.seen[split]
        self.seen[split] += 1
        return place


def left_out_class(name: str) -> str | None:
    """Return which of `LEFT_OUT` a name spells ("7_Contempt"), or None."""
    word = name.strip("0123456789 _-.").casefold()
    return word if word in LEFT_OUT else None


def listing_sha256(folder: Path, files: Iterable[Path]) -> str:
    """Return the SHA-256 of a sorted listing: each file's name, a tab, its size in bytes."""
    digest = hashlib.sha256()
    # Paths themselves are sorted otherwise on Windows.
    for file in sorted(files, key=lambda file: file.relative_to(folder).parts):
        name = file.relative_to(folder).as_posix()
        digest.update(f"{name}\t{file.stat().st_size}\n".encode())
    return digest.hexdigest()
