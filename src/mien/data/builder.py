"""Collects the rows of all sources: images go to a file at once, so memory holds only the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data import votes as ferplus
from mien.data.cache import SPLITS, Dataset, from_arrays
from mien.data.exclusion import Exclusion, unknown_image
from mien.data.form import Form
from mien.data.readers.base import Reader, Rows
from mien.errors import MienError


class Builder(AbstractContextManager["Builder"]):
    """A data set that grows; its images are written to `images.npy` in a folder as they come.

    Attributes:
        seen: rows of all sources by split, bad ones counted.
        sizes: how many images came in which height and width, once they were in their form.
        excluded: how many images were left out because `exclude` names them.
    """

    def __init__(self, folder: Path, form: Form, exclude: Sequence[Exclusion] = ()) -> None:
        self.seen: Counter[str] = Counter()
        self.sizes: Counter[tuple[int, int]] = Counter()
        self._path = folder / "images.npy"
        self._file = self._path.open("wb")
        self._form = form
        self._labels: list[int] = []
        self._splits: list[str] = []
        self._names: list[str] = []
        self._places: list[int] = []
        self._sources: dict[tuple[str, str], str] = {}
        self._exclude = {(each.split, each.name): each for each in exclude}
        self.excluded = 0

    def __len__(self) -> int:
        return len(self._labels)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, rows: Rows, reader: Reader) -> None:
        """Take some rows of a reader; `finish_source` must follow its last ones.

        Raises:
            MienError: a name occurs twice in a split.
        """
        places = [
            place + self.seen[split] for place, split in zip(rows.places, rows.splits, strict=True)
        ]
        names = [
            self._unique(name, split, place, reader)
            for name, split, place in zip(rows.names, rows.splits, places, strict=True)
        ]
        kept = [
            row
            for row, key in enumerate(zip(rows.splits, names, strict=True))
            if key not in self._exclude
        ]
        if len(kept) < len(rows):
            self.excluded += len(rows) - len(kept)
            rows = rows.take(kept)
        for image in rows.images if self._form != Form() else ():
            self._write(self._form.apply(image)[None])
        if self._form == Form():
            self._write_unchanged(rows.images)
        self._labels += rows.labels
        self._splits += rows.splits
        self._places += [places[row] for row in kept]
        self._names += [names[row] for row in kept]

    def finish_source(self, reader: Reader) -> None:
        """Count a source's rows, after which the next source's are placed."""
        self.seen.update(reader.seen)

    def finish(
        self, votes: Mapping[str, NDArray[np.uint8]] | None, provenance: Mapping[str, Any]
    ) -> Dataset:
        """Complete the file of images and return everything as a data set that maps it.

        Raises:
            MienError: there are no rows, images differ in size, the votes do not fit, or images
                that were to be excluded did not come.
        """
        missing = [each for key, each in self._exclude.items() if key not in self._sources]
        if missing:
            raise unknown_image(missing[0], len(missing) - 1)
        if not self._labels:
            raise MienError("the sources hold no image that can be used")
        if len(self.sizes) > 1:
            sizes = ", ".join(
                f"{width}×{height} ({count:,} images)"
                for (height, width), count in self.sizes.most_common(8)
            )
            raise MienError(
                f"the images differ in size: {sizes}{', …' if len(self.sizes) > 8 else ''}",
                hint="a data set has one size; --size N makes all of them N×N",
            )
        self._write_header()
        self._file.close()
        joined = None
        if votes is not None:
            joined = ferplus.join(votes, self.seen, self._splits, self._places)
        present = tuple(split for split in SPLITS if split in set(self._splits))
        return from_arrays(
            images=np.load(self._path, mmap_mode="r"),
            labels=np.array(self._labels, np.int8),
            splits=np.array([present.index(split) for split in self._splits], np.uint8),
            names=np.array(self._names, np.str_),
            split_names=present,
            votes=joined,
            provenance=provenance,
        )

    def _write_unchanged(self, images: Any) -> None:
        if isinstance(images, np.ndarray):
            self._write(images)
        else:
            for image in images:
                self._write(image[None])

    def _write(self, images: NDArray[np.uint8]) -> None:
        """Write n×H×W or n×H×W×3 images; once sizes differ, only count."""
        if len(images) == 0:
            return
        first = not self.sizes
        self.sizes[images.shape[1], images.shape[2]] += len(images)
        if first:
            self._write_header()
        if len(self.sizes) == 1:
            self._file.write(np.ascontiguousarray(images).data)

    def _write_header(self) -> None:
        """Write the header for the images so far; NumPy pads it so that its length stays."""
        (height, width) = next(iter(self.sizes))
        shape = (len(self._labels), height, width, *((3,) if self._form.color else ()))
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )

    def _unique(self, name: str, split: str, place: int, reader: Reader) -> str:
        if (split, name) in self._sources:
            if not reader.own_names:
                sources = sorted({self._sources[split, name], reader.path.name})
                raise MienError(
                    f"{name} occurs twice in the split {split}, in {' and '.join(sources)}",
                    hint="name each source once, and only one that holds this split",
                )
            name = f"{name}#{place}"
        self._sources[split, name] = reader.path.name
        return name
