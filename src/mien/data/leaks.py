"""What of several data sets' training images a model would also be measured with."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from mien.data.cache import Dataset
from mien.data.duplicates import find_pairs, prepare
from mien.progress import Progress, silent

TRAIN = "train"


@dataclass(frozen=True)
class Leak:
    """An image for training that shows the same as an image that a model is measured with.

    Attributes:
        source: the data set that it is from.
        name: its name there.
        measured: the split of the mixed data set that its duplicate is in.
        duplicate: the duplicate's name in the mixed data set.
        similarity: their correlation, see `mien.data.duplicates`.
        mirrored: whether one is the mirror image.
        exact: whether they are equal in every pixel.
        left_out: whether the image was left out of training.
    """

    source: str
    name: str
    measured: str
    duplicate: str
    similarity: float
    mirrored: bool
    exact: bool
    left_out: bool


@dataclass(frozen=True)
class LeakCount:
    """How many images of a source's training split leak into a split.

    Attributes:
        source: the data set that they are from.
        measured: the split of the mixed data set.
        exact: images for training that are equal to one of the split.
        near: those that are only nearly so.
        hit: images of the split that occur among the source's for training.
        left_out: images that were left out of training.
    """

    source: str
    measured: str
    exact: int
    near: int
    hit: int
    left_out: int


def split_name(split: str, source: str, main: str) -> str:
    """Return what a source's split is called where `main` is the main source."""
    return split if split == TRAIN or source == main else f"{split}-{source}"


def row_name(name: str, source: str, main: str) -> str:
    """Return what a source's image is called where `main` is the main source."""
    return name if source == main else f"{source}/{name}"


def find_leaks(
    sources: Mapping[str, Dataset], keep_duplicates: bool, progress: Progress = silent
) -> list[Leak]:
    """Compare every source's images for training with every split that is measured.

    Args:
        sources: by name, the main one first.
        keep_duplicates: leave nothing out; otherwise images whose duplicate another source has
            are, but not the main source's own.
        progress: is told how many comparisons of an image with a training split are done,
            equal images counted once.
    """
    main = next(iter(sources))
    measured = [
        (source, split)
        for source, dataset in sources.items()
        for split in dataset.split_names
        if split != TRAIN
    ]
    queries = [
        prepare(np.asarray(sources[name].images[sources[name].indices(split)]))
        for name, split in measured
    ]
    total = len(sources) * sum(len(query.groups) for query in queries)
    leaks: list[Leak] = []
    done = 0
    for source, dataset in sources.items():
        rows = dataset.indices(TRAIN)
        keys = prepare(np.asarray(dataset.images[rows]))
        for (other, split), query in zip(measured, queries, strict=True):
            theirs = sources[other].indices(split)
            pairs = find_pairs(keys, query, progress=_after(done, total, progress))
            done += len(query.groups)
            leaks += [
                Leak(
                    source=source,
                    name=str(dataset.names[rows[pairs.first[k]]]),
                    measured=split_name(split, other, main),
                    duplicate=row_name(
                        str(sources[other].names[theirs[pairs.second[k]]]), other, main
                    ),
                    similarity=round(float(pairs.similarity[k]), 4),
                    mirrored=bool(pairs.mirrored[k]),
                    exact=bool(pairs.exact[k]),
                    left_out=not keep_duplicates and source not in (main, other),
                )
                for k in range(len(pairs))
            ]
    return leaks


def _after(before: int, all_of_them: int, progress: Progress) -> Progress:
    def report(done: int, total: int | None) -> None:
        progress(before + done, all_of_them)

    return report


def count_leaks(leaks: Iterable[Leak]) -> list[LeakCount]:
    """Count leaks by source and split, in the order in which they come."""
    groups: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaks:
        groups.setdefault((leak.source, leak.measured), []).append(leak)
    counts = []
    for (source, measured), group in groups.items():
        exact = {leak.name for leak in group if leak.exact}
        counts.append(
            LeakCount(
                source=source,
                measured=measured,
                exact=len(exact),
                near=len({leak.name for leak in group} - exact),
                hit=len({leak.duplicate for leak in group}),
                left_out=len({leak.name for leak in group if leak.left_out}),
            )
        )
    return counts


def write_list(leaks: Iterable[Leak], file: Path) -> None:
    """Write every leak as a row of a CSV file whose columns are those of `Leak`."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Leak)])
        writer.writeheader()
        writer.writerows(asdict(leak) for leak in leaks)
