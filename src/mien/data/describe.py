"""What a data set holds: the class table, statistics of the images, duplicates and FER+'s votes."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mien.data.cache import Dataset
from mien.emotions import EMOTIONS, UNKNOWN, ferplus_column
from mien.progress import Progress, silent

UNLABELED = "unlabeled"
"""The class table's row for images whose emotion is not known."""

# Images looked at together: 2.4 MB where they are 48×48 gray.
_BATCH = 1024


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics over all pixels of all images, in gray levels from 0 to 255.

    Attributes:
        mean: the mean.
        std: the standard deviation.
        minimum: the darkest value.
        maximum: the brightest value.
        constant: images of one value throughout (blank ones).
    """

    mean: float
    std: float
    minimum: int
    maximum: int
    constant: int


@dataclass(frozen=True)
class Duplicates:
    """Images that are equal to another one in every pixel.

    Attributes:
        within: by split, images that repeat an earlier image of the split.
        across: for two splits (earlier, later), images of the later one that occur in the earlier.
        conflicting: images that are equal to one with another label.
    """

    within: dict[str, int]
    across: dict[tuple[str, str], int]
    conflicting: int


@dataclass(frozen=True)
class VotesSummary:
    """FER+'s votes in a split.

    Attributes:
        rows: images that have votes.
        agreeing: the share of the labeled ones whose label has more votes than each of the other
            nine choices, or None where there are none.
    """

    rows: int
    agreeing: float | None

    def line(self, split: str) -> str:
        """Return the summary of a split as text for people."""
        line = f"FER+ votes in {split}: {self.rows:,}"
        if self.agreeing is not None:
            line += f", of which the label wins {100 * self.agreeing:.1f} %"
        return line


@dataclass(frozen=True)
class Description:
    """What `describe` found.

    Attributes:
        count: how many images there are.
        size: their height and width in pixels.
        color: whether they have three channels.
        checksum: the data set's.
        classes: by split and class, how many images; `UNLABELED` is a class here.
        images: statistics of the images.
        duplicates: equal images.
        votes: FER+'s votes by split; empty where the data set has none.
    """

    count: int
    size: tuple[int, int]
    color: bool
    checksum: str
    classes: dict[str, dict[str, int]]
    images: ImageStatistics
    duplicates: Duplicates
    votes: dict[str, VotesSummary]

    def lines(self) -> list[str]:
        """Return all but the class table as text for people."""
        height, width = self.size
        lines = [
            f"images: {self.count:,} of {width}×{height}, {'color' if self.color else 'gray'}",
            f"pixels: mean {self.images.mean:.2f}, standard deviation {self.images.std:.2f}, "
            f"from {self.images.minimum} to {self.images.maximum}",
            f"blank images: {self.images.constant:,}",
        ]
        lines += [
            f"duplicates within {split}: {count:,}"
            for split, count in self.duplicates.within.items()
        ]
        lines += [
            f"images of {later} that occur in {earlier}: {count:,}"
            for (earlier, later), count in self.duplicates.across.items()
        ]
        lines.append(f"images equal to one with another label: {self.duplicates.conflicting:,}")
        lines += [votes.line(split) for split, votes in self.votes.items()]
        return lines if self.votes else [*lines, "FER+ votes: none"]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        value = asdict(self)
        value["duplicates"]["across"] = [
            {"split": later, "in": earlier, "images": count}
            for (earlier, later), count in self.duplicates.across.items()
        ]
        return value


def describe(dataset: Dataset, progress: Progress = silent) -> Description:
    """Read a data set once and say what it holds."""
    digests: list[bytes] = []
    constant, total, squares = 0, 0, 0
    minimum, maximum = 255, 0
    for start in range(0, len(dataset), _BATCH):
        images = dataset.images[start : start + _BATCH]
        flat = np.ascontiguousarray(images).reshape(len(images), -1)
        low, high = flat.min(axis=1), flat.max(axis=1)
        constant += int(np.count_nonzero(low == high))
        minimum, maximum = min(minimum, int(low.min())), max(maximum, int(high.max()))
        # Sums of integers are exact, so the result does not depend on the batches.
        counts = np.bincount(flat.reshape(-1), minlength=256)
        total += int(counts @ np.arange(256))
        squares += int(counts @ np.arange(256) ** 2)
        digests += [hashlib.blake2b(image.data, digest_size=16).digest() for image in flat]
        progress(len(digests), len(dataset))
    pixels = dataset.images.size
    mean = total / pixels
    return Description(
        count=len(dataset),
        size=dataset.size,
        color=dataset.color,
        checksum=dataset.checksum,
        classes=class_counts(dataset),
        images=ImageStatistics(
            mean=mean,
            std=float(np.sqrt(squares / pixels - mean**2)),
            minimum=minimum,
            maximum=maximum,
            constant=constant,
        ),
        duplicates=_duplicates(dataset, digests),
        votes=votes_summaries(dataset),
    )


def class_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Return by split and class how many images there are."""
    counts: dict[str, dict[str, int]] = {}
    for split in dataset.split_names:
        labels = np.asarray(dataset.labels)[dataset.indices(split)]
        counts[split] = {
            name: int(np.count_nonzero(labels == label)) for label, name in enumerate(EMOTIONS)
        }
        counts[split][UNLABELED] = int(np.count_nonzero(labels == UNKNOWN))
    return counts


def class_table(dataset: Dataset) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of the class table: counts, and percent of their split."""
    counts = class_counts(dataset)
    totals = {split: sum(classes.values()) for split, classes in counts.items()}
    columns = ["class", *itertools.chain.from_iterable((split, "%") for split in counts), "all"]
    rows = []
    for name in (*EMOTIONS, UNLABELED):
        values = [counts[split][name] for split in counts]
        if name == UNLABELED and not any(values):
            continue
        row = [name]
        for split, value in zip(counts, values, strict=True):
            row += [f"{value:,}", f"{100 * value / totals[split]:.1f}"]
        rows.append([*row, f"{sum(values):,}"])
    last = ["all"]
    for total in totals.values():
        last += [f"{total:,}", "100.0"]
    return columns, [*rows, [*last, f"{sum(totals.values()):,}"]]


def _duplicates(dataset: Dataset, digests: list[bytes]) -> Duplicates:
    by_split = {
        split: [digests[row] for row in dataset.indices(split)] for split in dataset.split_names
    }
    unique = {split: set(values) for split, values in by_split.items()}
    labels: dict[bytes, set[int]] = {}
    for digest, label in zip(digests, dataset.labels.tolist(), strict=True):
        if label != UNKNOWN:
            labels.setdefault(digest, set()).add(label)
    return Duplicates(
        within={split: len(values) - len(unique[split]) for split, values in by_split.items()},
        across={
            (earlier, later): sum(digest in unique[earlier] for digest in by_split[later])
            for earlier, later in itertools.combinations(dataset.split_names, 2)
        },
        conflicting=sum(len(labels.get(digest, ())) > 1 for digest in digests),
    )


def votes_summaries(dataset: Dataset) -> dict[str, VotesSummary]:
    """Return by split what FER+'s votes say; nothing where the data set has none.

    On FER2013 the label wins about 61 % of the images; votes that were joined to other rows than
    their own would agree with far fewer.
    """
    if dataset.votes is None:
        return {}
    columns = np.array([ferplus_column(emotion) for emotion in EMOTIONS])
    summaries = {}
    for split in dataset.split_names:
        rows = dataset.indices(split)
        votes, labels = np.asarray(dataset.votes)[rows], np.asarray(dataset.labels)[rows]
        voted = votes.any(axis=1)
        votes, labels = votes[voted & (labels != UNKNOWN)], labels[voted & (labels != UNKNOWN)]
        own = votes[np.arange(len(votes)), columns[labels]]
        winners = (own == votes.max(axis=1)) & ((votes == own[:, None]).sum(axis=1) == 1)
        summaries[split] = VotesSummary(
            rows=int(np.count_nonzero(voted)),
            agreeing=float(winners.mean()) if len(winners) else None,
        )
    return summaries
