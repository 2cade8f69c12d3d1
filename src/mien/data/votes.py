"""FER+'s votes: reading `fer2013new.csv`, and joining them to FER2013's rows.

Ten annotators voted on every image of FER2013 (Barsoum et al. 2016, "Training deep networks for
facial expression recognition with crowd-sourced label distribution"). The file has a row an image
in the order of `fer2013.csv`; its image names do not keep to the rows' numbers, so they cannot be
used to join.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.problems import Kind, Problems
from mien.data.splits import split_named
from mien.data.tables import header
from mien.emotions import FERPLUS_VOTES
from mien.errors import MienError

_COLUMNS = tuple(name.casefold() for name in FERPLUS_VOTES)


def recognizes(path: Path) -> bool:
    """Say whether a file's first line names `Usage` and the ten votes."""
    return {"usage", *_COLUMNS} <= set(header(path))


def read(path: Path, problems: Problems) -> dict[str, NDArray[np.uint8]]:
    """Read votes by split.

    A row whose votes are bad is reported and counts as one without votes, so that the rows after
    it keep their places.

    Returns:
        For each split uint8, rows×10 in the order of `mien.emotions.FERPLUS_VOTES`.
    """
    columns = header(path)
    usage = columns.index("usage")
    places = [columns.index(name) for name in _COLUMNS]
    votes: dict[str, list[list[int]]] = {}
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = csv.reader(file)
        next(lines)
        for fields in lines:
            if not fields:
                continue
            split = split_named(fields[usage]) if usage < len(fields) else None
            if split is None:
                text = "no usage out of Training, PublicTest, PrivateTest"
                problems.add(Kind.USAGE, path.name, lines.line_num, text)
                continue
            row = [fields[place] if place < len(fields) else "" for place in places]
            if not all(vote.isascii() and vote.isdigit() and int(vote) < 256 for vote in row):
                text = f"the votes {','.join(row)[:60]} are not ten numbers from 0 to 255"
                problems.add(Kind.VOTES, path.name, lines.line_num, text)
                row = ["0"] * len(places)
            votes.setdefault(split, []).append([int(vote) for vote in row])
    return {split: np.array(rows, np.uint8) for split, rows in votes.items()}


def join(
    votes: Mapping[str, NDArray[np.uint8]],
    seen: Mapping[str, int],
    splits: Sequence[str],
    places: Sequence[int],
) -> NDArray[np.uint8]:
    """Give every row its votes.

    Args:
        votes: what `read` returned.
        seen: rows by split in the sources, those included that were left out as bad.
        splits: each row's split.
        places: each row's place in its split in the sources.

    Returns:
        uint8, rows×10; zeros in splits without votes.

    Raises:
        MienError: a split has another count of rows than its votes.
    """
    for split, ballots in votes.items():
        if seen.get(split, 0) not in (0, len(ballots)):
            raise MienError(
                f"FER+ has votes for {len(ballots):,} rows of {split}, "
                f"but the data has {seen[split]:,} rows there",
                hint="votes are joined row by row; give the complete FER2013, or leave them out",
            )
    joined = np.zeros((len(splits), len(FERPLUS_VOTES)), np.uint8)
    for split in Counter(splits).keys() & votes.keys():
        rows = np.flatnonzero(np.array(splits) == split)
        joined[rows] = votes[split][np.array(places)[rows]]
    return joined
