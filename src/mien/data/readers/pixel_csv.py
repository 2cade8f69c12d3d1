"""FER2013 as CSV, one row an image: `fer2013.csv`, `icml_face_data.csv`, `train.csv`, `test.csv`.

The columns are found by name, in any order: `pixels`, 2,304 numbers from 0 to 255; `emotion`, the
label, absent where it is not known; `Usage`, the split, absent in the contest's two files, whose
names then say it. Quotes, blanks around names, CRLF, a byte order mark and a missing end of the
last line are accepted.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mien.data.problems import Kind, Problems
from mien.data.readers.base import Reader, Rows
from mien.data.readers.digits import BadPixelsError, parse_careful, parse_fast
from mien.data.splits import split_named, split_of_file
from mien.data.tables import header, split_fields
from mien.emotions import EMOTIONS, UNKNOWN, canonical

SIDE = 48
"""Height and width of FER2013's images in pixels."""

# Rows given together, and of these the rows that a thread parses together. Small blocks stay in the
# processor's cache; large batches keep the threads at work.
_BATCH = 2048
_BLOCK = 16
_WORKERS = min(4, os.cpu_count() or 1)


@dataclass(slots=True)
class _Line:
    number: int
    name: str
    pixels: bytes
    label: int | None  # None: bad
    split: str | None  # None: bad
    place: int
    whole: bool  # the line has an end, so it is not where a truncated file breaks off


class PixelCsv(Reader):
    """A CSV file with a column `pixels`."""

    format = "FER2013 CSV"
    suffix = ".csv"
    unused: ClassVar[Mapping[bytes, str]] = {}  # labels of classes that are left out

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.columns = header(path)
        if "usage" not in self.columns:
            # The contest's test.csv has only pixels, its train.csv has labels, too.
            by_content = "train" if "emotion" in self.columns else "test"
            self.split = split_of_file(path.stem) or by_content
        with path.open("rb") as file:
            file.readline()
            first = file.readline()
        self.rows = path.stat().st_size // max(len(first), 1)
        # -1: no such column.
        self._emotion, self._pixels, self._usage = (
            self.columns.index(name) if name in self.columns else -1
            for name in ("emotion", "pixels", "usage")
        )
        self._labels: dict[bytes, int | None] = {}
        self._usages: dict[bytes, str | None] = {}

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether a file's first line names a column `pixels`."""
        return "pixels" in header(path)

    def read(self, *, color: bool, problems: Problems) -> Iterator[Rows]:
        """Give the good rows; the images are always gray."""
        lines: list[_Line] = []
        index = 0
        with self.path.open("rb", buffering=1 << 20) as file:
            file.readline()
            for number, text in enumerate(file, start=2):
                if text.isspace():
                    continue
                line = self._line(text, number, index, problems)
                index += 1
                if line is not None:
                    lines.append(line)
                if len(lines) == _BATCH:
                    yield self._rows(lines, problems)
                    lines = []
        if lines:
            yield self._rows(lines, problems)

    def _line(self, text: bytes, number: int, index: int, problems: Problems) -> _Line | None:
        """Take a line apart; report all but its pixels."""
        whole = text.endswith(b"\n")
        fields = split_fields(text)
        if len(fields) != len(self.columns):
            what = f"{len(fields)} fields instead of {len(self.columns)}"
            self._report(Kind.FIELDS, number, what, whole, problems)
            if self.split is not None:
                self.place(self.split)
            return None
        split = self.split
        if self._usage >= 0:
            split = self._split(fields[self._usage])
            if split is None:
                known = "Training, PublicTest, PrivateTest"
                what = f"the usage {_shown(fields[self._usage])} is none of {known}"
                self._report(Kind.USAGE, number, what, whole, problems)
        label: int | None = UNKNOWN
        if self._emotion >= 0 and fields[self._emotion] in self.unused:
            self.left_out[self.unused[fields[self._emotion]]] += 1
            return None
        if self._emotion >= 0:
            label = self._label(fields[self._emotion])
            if label is None:
                known = f"0 to {len(EMOTIONS) - 1}"
                what = f"the label {_shown(fields[self._emotion])} is none of {known}"
                self._report(Kind.LABEL, number, what, True, problems)
        place = 0 if split is None else self.place(split)
        pixels = fields[self._pixels]
        return _Line(number, f"fer{index:07d}", pixels, label, split, place, whole)

    def _rows(self, lines: list[_Line], problems: Problems) -> Rows:
        """Parse the pixels of some lines; report those that are bad."""
        images = np.empty((len(lines), SIDE * SIDE), np.uint8)
        good: list[_Line] = []
        blocks = [lines[start : start + _BLOCK] for start in range(0, len(lines), _BLOCK)]
        for block, parsed in zip(blocks, _parse_blocks(blocks), strict=True):
            if parsed is None:
                parsed, block = self._careful(block, problems)
            usable = [line.label is not None and line.split is not None for line in block]
            if not all(usable):
                parsed, block = parsed[usable], list(itertools.compress(block, usable))
            images[len(good) : len(good) + len(block)] = parsed
            good += block
        return Rows(
            images=images[: len(good)].reshape(-1, SIDE, SIDE),
            labels=[line.label for line in good if line.label is not None],
            splits=[line.split for line in good if line.split is not None],
            names=[line.name for line in good],
            places=[line.place for line in good],
        )

    def _careful(
        self, lines: list[_Line], problems: Problems
    ) -> tuple[NDArray[np.uint8], list[_Line]]:
        """Parse lines one by one; return the pixels of the good ones, and these lines."""
        images, good = [], []
        for line in lines:
            try:
                images.append(parse_careful(line.pixels, SIDE * SIDE))
                good.append(line)
            except BadPixelsError as error:
                self._report(error.kind, line.number, error.text, line.whole, problems)
        return np.array(images, np.uint8).reshape(-1, SIDE * SIDE), good

    def _report(self, kind: Kind, number: int, what: str, whole: bool, problems: Problems) -> None:
        if not whole:
            kind, what = Kind.TRUNCATED, f"{what}; the file ends within this row"
        problems.add(kind, self.path.name, number, what)

    def _label(self, field: bytes) -> int | None:
        """Return a label, or None for a bad one."""
        if field not in self._labels:
            emotion = canonical(field.decode(errors="replace"))
            self._labels[field] = None if emotion is None else EMOTIONS.index(emotion)
        return self._labels[field]

    def _split(self, field: bytes) -> str | None:
        if field not in self._usages:
            self._usages[field] = split_named(field.decode(errors="replace"))
        return self._usages[field]


def _parse_blocks(blocks: list[list[_Line]]) -> Iterator[NDArray[np.uint8] | None]:
    """Parse blocks of lines on all cores; NumPy computes outside of Python's lock."""

    def parse(share: list[list[_Line]]) -> list[NDArray[np.uint8] | None]:
        return [parse_fast([line.pixels for line in block], SIDE * SIDE) for block in share]

    size = -(-len(blocks) // _WORKERS)
    shares = [blocks[start : start + size] for start in range(0, len(blocks), size)]
    with ThreadPoolExecutor(_WORKERS) as pool:
        yield from itertools.chain.from_iterable(pool.map(parse, shares))


def _shown(field: bytes) -> str:
    text = field.decode(errors="replace")
    return repr(re.sub(r"(?<=.{20}).+", "…", text))
