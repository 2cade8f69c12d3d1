"""Parquet with encoded images, as Hugging Face's `datasets` writes it, in one file or in shards.

A column `image` is a struct of `bytes` and `path` (or plain bytes); a column `label` holds numbers
or names. Where the file's metadata name the classes, their names count and not their numbers. The
split is in the file's name (`train-00000-of-00002.parquet`) or its folder's (`test/0000.parquet`).
Only -1 or null for a label means a split without labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.problems import Kind, Problems
from mien.data.readers.base import Reader, Rows
from mien.data.splits import split_named, split_of_file
from mien.emotions import EMOTIONS, UNKNOWN, canonical
from mien.errors import missing_extra
from mien.images.decode import UnreadableError, decode_whole

_BATCH = 512
_IMAGES = ("image", "img")
_LABELS = ("label", "labels", "emotion")


class Parquet(Reader):
    """One Parquet file."""

    format = "Parquet"
    own_names = True
    suffix = ".parquet"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        folder = path.resolve().parent.name
        self.split: str = split_of_file(path.stem) or split_named(folder) or "train"

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether a file begins with Parquet's mark."""
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"

    def read(self, *, color: bool, problems: Problems) -> Iterator[Rows]:
        """Give the rows whose image decodes and whose label is known."""
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise missing_extra("reading Parquet", "train") from error
        row = 0
        try:
            with parquet.ParquetFile(self.path) as file:
                self.rows = file.metadata.num_rows
                image = _column(file.schema_arrow.names, _IMAGES)
                label = _column(file.schema_arrow.names, _LABELS)
                if image is None:
                    columns = ", ".join(file.schema_arrow.names)
                    problems.add(
                        Kind.FIELDS, self.path.name, None, f"no column 'image' among {columns}"
                    )
                    return
                labels = self._all_labels(file, label, problems)
                for batch in file.iter_batches(_BATCH, columns=[image], use_threads=False):
                    images = batch.column(0).to_pylist()
                    yield self._rows(images, labels[row : row + len(images)], row, color, problems)
                    row += len(images)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            text = f"cannot be read from row {row} on: {reason}"
            problems.add(Kind.TRUNCATED, self.path.name, row, text, count=max(self.rows - row, 1))

    def _all_labels(self, file: Any, column: str | None, problems: Problems) -> list[int | None]:
        """Return every row's label; None for a bad one, which is reported."""
        count = file.metadata.num_rows
        if column is None:
            return [UNKNOWN] * count
        values = file.read(columns=[column], use_threads=False).column(0).to_pylist()
        if all(value in (None, UNKNOWN) for value in values):
            return [UNKNOWN] * count
        names = _class_names(file.schema_arrow.metadata, column)
        known = {value: _label(value, names) for value in set(values)}
        for row, value in enumerate(values):
            if known[value] is None:
                text = f"the label {value!r} is none of 0 to {len(EMOTIONS) - 1}"
                if names is not None:
                    text = f"the label {value!r} stands for no emotion in {', '.join(names)}"
                problems.add(Kind.LABEL, self.path.name, row, text)
        return [known[value] for value in values]

    def _rows(
        self,
        cells: list[Any],
        labels: list[int | None],
        first: int,
        color: bool,
        problems: Problems,
    ) -> Rows:
        images: list[NDArray[np.uint8]] = []
        kept: list[tuple[int, str, int]] = []
        for row, (cell, label) in enumerate(zip(cells, labels, strict=True), start=first):
            place = self.place(self.split)
            data, path = _parts(cell)
            try:
                image = decode_whole(data, color=color)
            except UnreadableError as error:
                problems.add(Kind.IMAGE, self.path.name, row, str(error))
                continue
            if label is not None:
                images.append(image)
                kept.append((label, path or f"{self.path.stem}#{row}", place))
        return Rows(
            images=images,
            labels=[label for label, _, _ in kept],
            splits=[self.split] * len(kept),
            names=[name for _, name, _ in kept],
            places=[place for _, _, place in kept],
        )


def _parts(cell: Any) -> tuple[bytes, str | None]:
    """Return an image's bytes (empty where there are none) and its path."""
    if isinstance(cell, dict):
        return cell.get("bytes") or b"", cell.get("path")
    return (cell if isinstance(cell, bytes) else b""), None


def _column(names: list[str], known: tuple[str, ...]) -> str | None:
    return next((name for name in known if name in names), None)


def _class_names(metadata: dict[bytes, bytes] | None, column: str) -> list[str] | None:
    """Return the names that `datasets` gives the label's numbers, or None."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, ValueError, TypeError):
        return None
    return [str(name) for name in names]


def _label(value: Any, names: list[str] | None) -> int | None:
    if isinstance(value, int) and names is not None:
        value = names[value] if 0 <= value < len(names) else None
    emotion = None if value is None else canonical(str(value))
    return None if emotion is None else EMOTIONS.index(emotion)
