"""The formats in which people have facial expressions; a new one is a module and a row here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mien.data import votes
from mien.data.readers.affectnet import AffectNetArrays, AffectNetList, AffectNetTree
from mien.data.readers.base import Reader
from mien.data.readers.ckplus import CkPlus, CkPlusCsv, CkPlusTree
from mien.data.readers.image_tree import ImageTree
from mien.data.readers.jaffe import Jaffe
from mien.data.readers.parquet import Parquet
from mien.data.readers.pixel_csv import PixelCsv
from mien.data.readers.rafdb import RafDb, RafDbTree
from mien.data.readers.walk import visible, walking_once
from mien.errors import MienError

# The special ones first: what one of them takes is not offered to the others.
READERS: tuple[type[Reader], ...] = (
    *(CkPlus, CkPlusTree, CkPlusCsv, Jaffe, RafDb, RafDbTree),
    *(AffectNetList, AffectNetArrays, AffectNetTree),
    *(PixelCsv, Parquet, ImageTree),
)


def discover(sources: Sequence[Path]) -> tuple[list[Reader], Path | None]:
    """Recognize what files and folders hold.

    Returns:
        A reader for each source in the order given (within a folder: train, validation, test), and
        the file with FER+'s votes or None.

    Raises:
        MienError: a source does not exist or is not recognized, a folder holds several formats, or
            there are several files with votes.
    """
    readers: list[Reader] = []
    ballots: list[Path] = []
    for source in sources:
        if not source.exists():
            raise MienError(f"{source} does not exist")
        with walking_once():
            files = [source] if source.is_file() else visible(source, ".csv")
            here = [file for file in files if votes.recognizes(file)]
            found = _found(source)
        if not found and not here:
            raise MienError(
                f"{source} is not recognized",
                hint="known are " + _formats() + ", and FER+'s votes (fer2013new.csv)",
            )
        if len({reader.format for reader in found}) > 1:
            raise MienError(
                f"{source} holds the data in several formats: {_listed(found)}",
                hint="name the file or folder to read instead of the folder around them",
            )
        readers += found
        ballots += here
    if len(ballots) > 1:
        raise MienError("several files hold FER+'s votes: " + ", ".join(map(str, ballots)))
    if not readers:
        raise MienError(
            f"{ballots[0]} holds FER+'s votes, but no source holds images",
            hint="name FER2013 itself, too: mien data prepare fer2013.csv fer2013new.csv --out DIR",
        )
    return readers, ballots[0] if ballots else None


def _found(source: Path) -> list[Reader]:
    found: list[Reader] = []
    for kind in READERS:
        taken = {reader.path for reader in found}
        if source in taken and source.is_dir():
            break
        found += [reader for reader in kind.find(source) if reader.path not in taken]
    return found


def _formats() -> str:
    return ", ".join(reader.format for reader in READERS)


def _listed(readers: Iterable[Reader]) -> str:
    return ", ".join(f"{reader.path.name} ({reader.format})" for reader in readers)
