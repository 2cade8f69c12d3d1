"""The prepared data set: a folder of memory-mapped arrays with a checksum and its provenance.

A folder holds

- `images.npy`, uint8, N×H×W (gray) or N×H×W×3 (RGB),
- `labels.npy`, int8, N; -1 where the emotion is not known,
- `splits.npy`, uint8, N; an index into `meta.json`'s `splits`,
- `names.npy`, fixed-width text, N; unique within a split,
- `votes.npy`, uint8, N×10, FER+'s votes; only where they were given,
- `sources.npy`, uint8, N; an index into `meta.json`'s `sources`; only where several were mixed,
- `meta.json`, the format's version, the names of the splits, the checksum and the provenance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import FERPLUS_VOTES
from mien.errors import MienError, nearest
from mien.files import atomic_directory

FORMAT = 1
SPLITS: tuple[str, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Dataset:
    """Images with labels, names and splits; the arrays are maps of files where they come from one.

    Attributes:
        images: uint8, N×H×W or N×H×W×3 (RGB).
        labels: int8, N; 0 to 6 as in `mien.emotions.EMOTIONS`, -1 unknown.
        splits: uint8, N; an index into `split_names`.
        names: text, N; unique within a split.
        votes: uint8, N×10 in the order of `mien.emotions.FERPLUS_VOTES`, or None.
        split_names: the splits, in the order of their first use.
        provenance: where the rows came from, as plain JSON values.
        checksum: SHA-256 over images, labels, splits, names, votes and sources.
        sources: uint8, N, an index into `source_names`, or None where nothing was mixed.
        source_names: what the mixed data sets are called; the first is the main one.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int8]
    splits: NDArray[np.uint8]
    names: NDArray[np.str_]
    votes: NDArray[np.uint8] | None
    split_names: tuple[str, ...]
    provenance: Mapping[str, Any]
    checksum: str
    sources: NDArray[np.uint8] | None = None
    source_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def color(self) -> bool:
        """Whether the images have three channels."""
        return self.images.ndim == 4

    def indices(self, split: str) -> NDArray[np.intp]:
        """Return the rows of a split, in order.

        Raises:
            MienError: there is no such split.
        """
        if split not in self.split_names:
            raise MienError(
                f"the data set has no split {split!r}", hint=nearest(split, self.split_names)
            )
        return np.flatnonzero(self.splits == self.split_names.index(split))

    def subset(self, split: str) -> Dataset:
        """Return the rows of one split as arrays of their own, with a checksum of their own."""
        rows = self.indices(split)
        return from_arrays(
            images=self.images[rows],
            labels=self.labels[rows],
            splits=np.zeros(len(rows), np.uint8),
            names=self.names[rows],
            votes=None if self.votes is None else self.votes[rows],
            split_names=(split,),
            provenance=self.provenance,
            sources=None if self.sources is None else self.sources[rows],
            source_names=self.source_names,
        )


def from_arrays(
    *,
    images: NDArray[np.uint8],
    labels: NDArray[np.int8],
    splits: NDArray[np.uint8],
    names: NDArray[np.str_],
    split_names: tuple[str, ...],
    votes: NDArray[np.uint8] | None = None,
    provenance: Mapping[str, Any] | None = None,
    sources: NDArray[np.uint8] | None = None,
    source_names: tuple[str, ...] = (),
) -> Dataset:
    """Check the arrays against each other and return them as a `Dataset`.

    Raises:
        ValueError: shapes or dtypes do not fit together.
    """
    count = len(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(
            f"images must be uint8 N×H×W or N×H×W×3, not {images.dtype} {images.shape}"
        )
    expected: list[tuple[str, NDArray[Any], tuple[int, ...]]] = [
        ("labels", labels, (count,)),
        ("splits", splits, (count,)),
        ("names", names, (count,)),
    ]
    if votes is not None:
        expected.append(("votes", votes, (count, len(FERPLUS_VOTES))))
    if sources is not None:
        expected.append(("sources", sources, (count,)))
    for name, array, shape in expected:
        if array.shape != shape:
            raise ValueError(f"{name} must have the shape {shape}, not {array.shape}")
    digest = hashlib.sha256(json.dumps([FORMAT, list(images.shape), split_names]).encode())
    for part in (images, labels, splits, names, votes):
        if part is not None:
            digest.update(np.ascontiguousarray(part).data)
    if sources is not None:
        # Only then, so that data sets of one source keep the checksums that they always had.
        digest.update(json.dumps(source_names).encode())
        digest.update(np.ascontiguousarray(sources).data)
    return Dataset(
        images,
        labels,
        splits,
        names,
        votes,
        split_names,
        dict(provenance or {}),
        digest.hexdigest(),
        sources,
        source_names,
    )


def save(dataset: Dataset, folder: Path | str) -> None:
    """Write a data set to a new folder, whole or not at all.

    Raises:
        MienError: the folder exists and is not empty.
    """
    with atomic_directory(folder) as temporary:
        np.save(temporary / "images.npy", dataset.images)
        save_all_but_images(dataset, temporary)


def save_all_but_images(dataset: Dataset, folder: Path) -> None:
    """Write everything but `images.npy` to a folder that nobody reads yet."""
    np.save(folder / "labels.npy", dataset.labels)
    np.save(folder / "splits.npy", dataset.splits)
    np.save(folder / "names.npy", dataset.names)
    if dataset.votes is not None:
        np.save(folder / "votes.npy", dataset.votes)
    meta = {
        "format": FORMAT,
        "splits": dataset.split_names,
        "checksum": dataset.checksum,
        "provenance": dataset.provenance,
    }
    if dataset.sources is not None:
        np.save(folder / "sources.npy", dataset.sources)
        meta["sources"] = dataset.source_names
    text = json.dumps(meta, indent=2, ensure_ascii=False) + "\n"
    (folder / "meta.json").write_text(text, encoding="utf-8")


def load(folder: Path | str, *, verify: bool = False) -> Dataset:
    """Open a data set that `save` or `mien data prepare` wrote; the images are memory-mapped.

    Args:
        folder: the data set's folder.
        verify: read everything and compare it with the checksum.

    Raises:
        MienError: the folder is not a data set, is damaged, or is of another format's version.
    """
    folder = Path(folder)
    hint = "make one with: mien data prepare SOURCE --out DIR"
    if not (folder / "meta.json").is_file():
        raise MienError(f"{folder} is not a prepared data set (no meta.json)", hint=hint)
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != FORMAT:
            raise MienError(
                f"{folder} has the format {meta['format']}, this version reads {FORMAT}", hint=hint
            )
        has_votes = (folder / "votes.npy").is_file()
        mixed = "sources" in meta
        dataset = Dataset(
            images=np.load(folder / "images.npy", mmap_mode="r"),
            labels=np.load(folder / "labels.npy", mmap_mode="r"),
            splits=np.load(folder / "splits.npy", mmap_mode="r"),
            names=np.load(folder / "names.npy", mmap_mode="r"),
            votes=np.load(folder / "votes.npy", mmap_mode="r") if has_votes else None,
            split_names=tuple(meta["splits"]),
            provenance=meta["provenance"],
            checksum=meta["checksum"],
            sources=np.load(folder / "sources.npy", mmap_mode="r") if mixed else None,
            source_names=tuple(meta.get("sources", ())),
        )
        if verify:
            _verify(dataset)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise MienError(f"the data set {folder} is damaged: {error}", hint=hint) from error
    return dataset


def _verify(dataset: Dataset) -> None:
    """Raise a ValueError where the arrays do not fit together or are not those of the checksum."""
    actual = from_arrays(
        images=dataset.images,
        labels=dataset.labels,
        splits=dataset.splits,
        names=dataset.names,
        votes=dataset.votes,
        split_names=dataset.split_names,
        sources=dataset.sources,
        source_names=dataset.source_names,
    )
    if actual.checksum != dataset.checksum:
        raise ValueError("its checksum differs")
