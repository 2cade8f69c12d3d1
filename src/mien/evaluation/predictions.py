"""The predictions file: all that evaluation, comparison and combination know of a model.

A Parquet file with the columns `name` (text), `label` (int8; null where the emotion is not known)
and one column of probabilities for each of the `EMOTIONS` (float32, or float16 to halve the size).
What made the predictions is JSON in the schema's metadata under the key `mien.predictions`.
CSV files with the same columns are read too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS, UNKNOWN
from mien.errors import MienError, missing_extra
from mien.files import atomic_path

SUFFIXES = (".parquet", ".csv")
TOLERANCE = 1e-3  # of a row's sum: what float16 or four decimals in a CSV leave of it
_METADATA_KEY = b"mien.predictions"


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says to the images of one split; checked once, when it is made.

    Attributes:
        names: text, N; unique.
        labels: int8, N; 0 to 6 as in `mien.emotions.EMOTIONS`, -1 unknown.
        probabilities: float32, N×7; each row from 0 to 1 with the sum 1 (within `TOLERANCE`).
        info: what made them, as plain JSON values: split, model, tta, the data set's checksum,
            mien's version.

    Raises:
        MienError: a value is not a probability, a row does not sum to 1, a label is out of range,
            or a name occurs twice; the message names the row (counted from 1) and the image.
        ValueError: shapes do not fit together.
    """

    names: NDArray[np.str_]
    labels: NDArray[np.int8]
    probabilities: NDArray[np.float32]
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.names)
        if self.labels.shape != (count,) or self.probabilities.shape != (count, len(EMOTIONS)):
            raise ValueError(
                f"{count} names, labels {self.labels.shape} and probabilities "
                f"{self.probabilities.shape} do not fit together"
            )
        _check_probabilities(self.names, self.probabilities)
        _check_labels(self.names, self.labels)
        _check_unique(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labeled(self) -> NDArray[np.bool_]:
        """Boolean, N: the rows whose emotion is known."""
        return np.not_equal(self.labels, UNKNOWN)

    def save(self, path: Path | str, *, half: bool = False) -> None:
        """Write the Parquet file, whole or not at all.

        Args:
            path: the file; the suffix is not looked at.
            half: store float16 (errors up to 2.5e-4; `load` makes the rows sum to 1 again).

        Raises:
            MienError: pyarrow is not installed.
        """
        pyarrow = _arrow()
        stored = self.probabilities.astype(np.float16 if half else np.float32)
        columns = {
            "name": pyarrow.array(self.names.tolist(), pyarrow.string()),
            "label": pyarrow.array(self.labels, pyarrow.int8(), mask=~self.labeled),
            **{emotion: pyarrow.array(stored[:, i]) for i, emotion in enumerate(EMOTIONS)},
        }
        info = json.dumps(dict(self.info), ensure_ascii=False).encode()
        table = pyarrow.table(columns).replace_schema_metadata({_METADATA_KEY: info})
        with atomic_path(path) as temporary:
            pyarrow.parquet.write_table(table, temporary, compression="zstd")

    def with_labels(self, names: NDArray[np.str_], labels: NDArray[np.int8]) -> Predictions:
        """Return the same predictions with labels, found by name, where there were none.

        Args:
            names: text, M; unique; the images whose emotion is known elsewhere, in any order.
            labels: int8, M; -1 unknown.

        Raises:
            MienError: an image without a label is not among the names.
        """
        label_of = dict(zip(names.tolist(), labels.tolist(), strict=True))
        filled = self.labels.copy()
        for index in np.flatnonzero(~self.labeled).tolist():
            name = str(self.names[index])
            if name not in label_of:
                raise MienError(
                    f"{_row(self.names, index)} of the predictions is not in the data set's split",
                    hint="give the data and the split that the predictions were made of",
                )
            filled[index] = label_of[name]
        return replace(self, labels=filled)

    @classmethod
    def load(cls, path: Path | str) -> Predictions:
        """Read a predictions file: Parquet, or CSV where the suffix is `.csv`.

        A file without the column `label` is one whose labels are not known. Rows in any other
        form than float32 (float16, the decimals of a CSV) are scaled to sum to 1.

        Raises:
            MienError: the file cannot be read, lacks a column, or holds what is not predictions;
                pyarrow is not installed.
        """
        path = Path(path)
        table = _read_table(path)
        try:
            if table["name"].null_count:
                raise MienError("a row has no name")
            names = np.array([str(name) for name in table["name"].to_pylist()], dtype=np.str_)
            stored = [table[emotion].to_numpy() for emotion in EMOTIONS]
            probabilities = np.stack(stored, axis=1).astype(np.float64)
            _check_probabilities(names, probabilities)
            if any(column.dtype != np.float32 for column in stored):
                probabilities /= probabilities.sum(axis=1, keepdims=True)
            has_labels = "label" in table.column_names
            labels = _labels(names, table["label"].to_numpy() if has_labels else None)
            info = json.loads((table.schema.metadata or {}).get(_METADATA_KEY, b"{}"))
            return cls(names, labels, probabilities.astype(np.float32), info)
        except MienError as error:
            raise MienError(f"{path}: {error.message}", hint=error.hint) from error
        except (ValueError, TypeError, KeyError) as error:
            raise MienError(f"{path} is not a predictions file: {error}") from error


def _arrow() -> Any:
    """Return pyarrow with its readers and writers."""
    try:
        import pyarrow
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("reading and writing predictions files", "train") from error
    return pyarrow


def _read_table(path: Path) -> Any:
    """Return the file as an Arrow table that has all columns; a CSV has its numbers as float64."""
    pyarrow = _arrow()
    if not path.is_file():
        raise MienError(f"there is no predictions file {path}")
    try:
        if path.suffix.lower() == ".csv":
            number = pyarrow.float64()
            types = {"name": pyarrow.string(), **dict.fromkeys(("label", *EMOTIONS), number)}
            options = pyarrow.csv.ConvertOptions(column_types=types)
            table = pyarrow.csv.read_csv(path, convert_options=options)
        else:
            table = pyarrow.parquet.read_table(path)
        missing = [name for name in ("name", *EMOTIONS) if name not in table.column_names]
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise MienError(f"the predictions {path} cannot be read: {error}") from error
    if missing:
        raise MienError(
            f"{path} has no column {', '.join(missing)}",
            hint=f"a predictions file has the columns name, label, {', '.join(EMOTIONS)}",
        )
    return table


def _labels(names: NDArray[np.str_], column: NDArray[Any] | None) -> NDArray[np.int8]:
    """Return labels as int8 from numbers of any type; what is missing becomes -1."""
    if column is None:
        return np.full(len(names), UNKNOWN, np.int8)
    labels = column.astype(np.float64)
    labels[np.isnan(labels)] = UNKNOWN
    _check_labels(names, labels)
    return labels.astype(np.int8)


def _check_labels(names: NDArray[np.str_], labels: NDArray[Any]) -> None:
    wrong = np.flatnonzero(~np.isin(labels, np.arange(UNKNOWN, len(EMOTIONS))))
    if len(wrong):
        raise MienError(
            f"{_row(names, wrong[0])} has the label {labels[wrong[0]]:g}",
            hint="labels are 0 to 6, and empty where the emotion is not known",
        )


def _check_probabilities(names: NDArray[np.str_], probabilities: NDArray[np.floating[Any]]) -> None:
    for complaint, bad in (
        ("a probability that is missing or no number", ~np.isfinite(probabilities)),
        ("a negative probability", probabilities < 0),
    ):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise MienError(f"{_row(names, row)} has {complaint} for {EMOTIONS[column]}")
    sums = probabilities.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(np.abs(sums - 1) > TOLERANCE)
    if len(wrong):
        raise MienError(
            f"{_row(names, wrong[0])} has probabilities that sum to {sums[wrong[0]]:.4g}, not to 1",
            hint="predictions are probabilities: apply a softmax to logits, divide percent by 100",
        )


def _check_unique(names: NDArray[np.str_]) -> None:
    _, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    again = np.flatnonzero(counts[inverse] > 1)
    if len(again):
        name = names[again[0]]
        first, second = np.flatnonzero(names == name)[:2] + 1
        raise MienError(f"rows {first} and {second} have the same name {str(name)!r}")


def _row(names: NDArray[np.str_], index: int) -> str:
    return f"row {index + 1} ({names[index]})"
