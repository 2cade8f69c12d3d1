"""The exclusion list: a CSV file that names images to leave out, made to be read and edited.

Its columns are `split`, `name` and `reason`; others, such as notes of one's own, are passed over.
`mien data audit` writes one, and `mien data prepare`, `mien train` and `mien evaluate` take it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.files import atomic_write

COLUMNS = ("split", "name", "reason")


@dataclass(frozen=True)
class Exclusion:
    """An image that is left out.

    Attributes:
        split: the split that it is in.
        name: its name there.
        reason: why; for people only.
        place: the file and its line, for errors.
    """

    split: str
    name: str
    reason: str = ""
    place: str = ""


def write_exclusions(exclusions: Iterable[Exclusion], file: Path | str) -> None:
    """Write a list, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((each.split, each.name, each.reason) for each in exclusions)
    atomic_write(file, text.getvalue())


def read_exclusions(files: Sequence[Path | str]) -> list[Exclusion]:
    """Read one or several lists; empty lines are passed over.

    Raises:
        MienError: a file cannot be read, lacks the column `split` or `name`, or a row has no value
            there or more values than there are columns.
    """
    return [each for file in files for each in _read(Path(file))]


def _read(file: Path) -> list[Exclusion]:
    hint = f"an exclusion list is a CSV file with the columns {', '.join(COLUMNS)}"
    try:
        # A table that was edited in an office program may begin with a byte order mark.
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MienError(f"the exclusion list {file} cannot be read: {error}", hint=hint) from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    missing = {"split", "name"}.difference(rows.fieldnames or ())
    if missing:
        raise MienError(f"{file} has no column {' and '.join(sorted(missing))}", hint=hint)
    found = []
    for row in rows:
        place = f"{file}:{rows.line_num}"
        if None in row:
            raise MienError(f"{place}: more values than columns", hint=hint)
        split, name = row["split"], row["name"]
        if not split or not name:
            raise MienError(f"{place}: a row needs a split and a name", hint=hint)
        found.append(Exclusion(split, name, row.get("reason") or "", place))
    return found


def excluded(
    exclusions: Sequence[Exclusion], split: str, names: NDArray[np.str_]
) -> NDArray[np.bool_]:
    """Say which images of a split are to be left out.

    Args:
        exclusions: rows for other splits are passed over.
        split: the split's name.
        names: of all its images, N.

    Returns:
        bool, N.

    Raises:
        MienError: a row names an image that is not in the split, or there are rows, but none for
            the split.
    """
    ours = [each for each in exclusions if each.split == split]
    if exclusions and not ours:
        splits = ", ".join(sorted({each.split for each in exclusions}))
        files = ", ".join(dict.fromkeys(each.place.rpartition(":")[0] for each in exclusions))
        raise MienError(
            f"{files} names no image of the split {split!r} but of {splits}",
            hint="leave the list out where it excludes nothing",
        )
    known = set(names.tolist())
    unknown = [each for each in ours if each.name not in known]
    if unknown:
        raise unknown_image(unknown[0], len(unknown) - 1)
    return np.isin(names, [each.name for each in ours])


def unknown_image(exclusion: Exclusion, others: int = 0) -> MienError:
    """Return the error for a row whose image does not exist; `others` counts further such rows."""
    more = f" ({others:,} more rows are like this)" if others else ""
    return MienError(
        f"{exclusion.place}: the split {exclusion.split!r} has no image {exclusion.name!r}{more}",
        hint="use the list with the data that it was made for; was it applied already?",
    )
