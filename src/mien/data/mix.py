"""Several prepared data sets become one, without what would leak into the figures.

The first is the main one: its splits keep their names, and its images theirs, so that predictions
can be compared with those of a model that was trained on it alone. Of the others only `train` goes
to the training split; their other splits are named after them (`test-raf-db`), so results are
reported apart. No labels but those of the split itself are ever read or changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.cache import Dataset, from_arrays, load, save_all_but_images
from mien.data.duplicates import THRESHOLD
from mien.data.leaks import (
    TRAIN,
    Leak,
    count_leaks,
    find_leaks,
    row_name,
    split_name,
    write_list,
)
from mien.emotions import FERPLUS_VOTES
from mien.errors import MienError
from mien.files import atomic_directory
from mien.progress import Progress, silent
from mien.version import __version__

LIST = "duplicates.csv"
"""The file in a mixed data set's folder that lists every `Leak`."""

_BLOCK = 4096  # images copied together
_MOST_SOURCES = 255


@dataclass(frozen=True)
class Mixed:
    """A mixed data set, opened from its folder, and the leaks that were found."""

    dataset: Dataset
    leaks: tuple[Leak, ...]


def mix(
    sources: Mapping[str, Dataset],
    out: Path | str,
    *,
    keep_duplicates: bool = False,
    progress: Progress = silent,
) -> Mixed:
    """Write one data set that holds several.

    Images for training that show the same as an image of *another* source's remaining splits are
    left out, except the main source's own, which stays whole. Duplicates within one source are
    only listed: FER2013's published figures include its own.

    Args:
        sources: by name, the main one first; all images of one size and of one number of channels.
        out: the new data set's folder.
        keep_duplicates: list the duplicates but leave nothing out.
        progress: is told how many images were compared.

    Raises:
        MienError: there are fewer than two sources, their images differ in size or channels, names
            collide, nothing is called `train`, or `out` is not empty.
    """
    _check(sources)
    leaks = find_leaks(sources, keep_duplicates, progress)
    kept = {
        name: _kept(dataset, [leak.name for leak in leaks if leak.left_out and leak.source == name])
        for name, dataset in sources.items()
    }
    with atomic_directory(out) as folder:
        images = _copy_images(sources, kept, folder / "images.npy")
        provenance = {
            "mixed": [
                {
                    "name": name,
                    "checksum": dataset.checksum,
                    "images": len(kept[name]),
                    "provenance": dataset.provenance,
                }
                for name, dataset in sources.items()
            ],
            "duplicates": {
                "threshold": THRESHOLD,
                "kept": keep_duplicates,
                "found": [asdict(count) for count in count_leaks(leaks)],
            },
            "mien": __version__,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        save_all_but_images(_joined(sources, kept, images, provenance), folder)
        write_list(leaks, folder / LIST)
        del images
    return Mixed(load(out), tuple(leaks))


def _check(sources: Mapping[str, Dataset]) -> None:
    if not 2 <= len(sources) <= _MOST_SOURCES:
        raise MienError(
            f"{len(sources)} data sets cannot be mixed", hint="name the main one and at least one"
        )
    shapes = {name: dataset.images.shape[1:] for name, dataset in sources.items()}
    if len(set(shapes.values())) > 1:
        described = ", ".join(
            f"{name} {shape[1]}×{shape[0]} {'color' if len(shape) > 2 else 'gray'}"
            for name, shape in shapes.items()
        )
        raise MienError(
            f"the data sets differ in the form of their images: {described}",
            hint="prepare all with the same --size and --color",
        )
    for name, dataset in sources.items():
        if dataset.sources is not None:
            raise MienError(
                f"{name} is mixed already", hint="mix all data sets at once, from their own folders"
            )
        if TRAIN not in dataset.split_names:
            raise MienError(f"{name} has no split {TRAIN!r}, so there is nothing to mix in")


def _kept(dataset: Dataset, left_out: list[str]) -> NDArray[np.intp]:
    """Return the rows of a data set without those images for training."""
    training = np.asarray(dataset.splits) == dataset.split_names.index(TRAIN)
    return np.flatnonzero(~(training & np.isin(dataset.names, left_out)))


def _copy_images(
    sources: Mapping[str, Dataset], kept: Mapping[str, NDArray[np.intp]], file: Path
) -> NDArray[np.uint8]:
    """Write the kept images one after the other, and return them as a map of the file."""
    count = sum(map(len, kept.values()))
    shape = (count, *next(iter(sources.values())).images.shape[1:])
    images = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    start = 0
    for name, rows in kept.items():
        for first in range(0, len(rows), _BLOCK):
            part = rows[first : first + _BLOCK]
            images[start : start + len(part)] = sources[name].images[part]
            start += len(part)
    images.flush()
    return images


def _joined(
    sources: Mapping[str, Dataset],
    kept: Mapping[str, NDArray[np.intp]],
    images: NDArray[np.uint8],
    provenance: Mapping[str, Any],
) -> Dataset:
    """Put everything but the images together."""
    main = next(iter(sources))
    splits: list[str] = []
    names: list[str] = []
    votes: list[NDArray[np.uint8]] = []
    for source, dataset in sources.items():
        rows = kept[source]
        own = [split_name(split, source, main) for split in dataset.split_names]
        splits += [own[place] for place in dataset.splits[rows].tolist()]
        names += [row_name(str(name), source, main) for name in dataset.names[rows]]
        # Zeros are what rows without votes have everywhere.
        none = np.zeros((len(rows), len(FERPLUS_VOTES)), np.uint8)
        votes.append(none if dataset.votes is None else np.asarray(dataset.votes[rows]))
    (pair, occurrences), *_ = Counter(zip(splits, names, strict=True)).most_common(1)
    if occurrences > 1:
        raise MienError(
            f"{pair[1]} would occur twice in the split {pair[0]}",
            hint="give the source another name: NAME=DIR",
        )
    split_names = tuple(dict.fromkeys(splits))
    numbers = {split: number for number, split in enumerate(split_names)}
    return from_arrays(
        images=images,
        labels=np.concatenate([sources[name].labels[rows] for name, rows in kept.items()]),
        splits=np.array([numbers[split] for split in splits], np.uint8),
        names=np.array(names, np.str_),
        split_names=split_names,
        votes=np.concatenate(votes)
        if any(dataset.votes is not None for dataset in sources.values())
        else None,
        provenance=provenance,
        sources=np.repeat(
            np.arange(len(kept), dtype=np.uint8), [len(rows) for rows in kept.values()]
        ),
        source_names=tuple(sources),
    )
