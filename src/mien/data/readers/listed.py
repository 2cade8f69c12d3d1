"""What the readers of data sets with image files share that have codes, lists or subjects.

A subclass says which files are what; here they are decoded, cut to the face and named.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mien.data.problems import Kind, Problems
from mien.data.readers.base import Reader, Rows, left_out_class, listing_sha256
from mien.data.readers.walk import listing
from mien.data.splits import split_named
from mien.emotions import EMOTIONS, canonical
from mien.images.decode import SUFFIXES, UnreadableError, decode_whole

_BATCH = 64


@dataclass(frozen=True)
class Entry:
    """One image of a list.

    Attributes:
        path: its file.
        code: the class, as the data set names it or numbers it.
        split: `train`, `validation` or `test`.
        subject: who it shows, where that is known.
        box: left, top, width and height of the face in pixels; None takes the middle square.
    """

    path: Path
    code: str
    split: str = "train"
    subject: str | None = None
    box: tuple[float, float, float, float] | None = None


class ListedImages(Reader):
    """A folder whose files, lists or names tell what each image shows."""

    in_order = False
    own_names = True
    classes: ClassVar[tuple[str, ...]] = ()
    """What the numbers 0, 1, … stand for; empty where codes are names."""

    @classmethod
    def find(cls, path: Path) -> list[Self]:
        """Return a reader where `path` is a folder of this format."""
        return [cls(path)] if path.is_dir() and cls.recognizes(path) else []

    @abstractmethod
    def entries(self, problems: Problems) -> Iterator[Entry]:
        """Give all images, whatever their class, and add what is bad in the lists."""

    def sha256(self) -> str:
        """Return `listing_sha256` of all files."""
        return listing_sha256(self.path, (f for f in self.path.rglob("*") if f.is_file()))

    def read(self, *, color: bool, problems: Problems) -> Iterator[Rows]:
        """Give the images that decode and whose class is one of the seven."""
        labeled = [
            (entry, label)
            for entry in self._split_by_subject(list(self.entries(problems)))
            if (label := self._label(entry, problems)) is not None
        ]
        self.rows = len(labeled)
        for start in range(0, len(labeled), _BATCH):
            good: list[tuple[Entry, int, NDArray[np.uint8]]] = []
            for entry, label in labeled[start : start + _BATCH]:
                try:
                    image = decode_whole(entry.path, color=color)
                    good.append((entry, label, cut(image, entry.box)))
                except UnreadableError as error:
                    problems.add(Kind.IMAGE, self.named(entry.path), None, str(error))
            yield Rows(
                images=[image for _, _, image in good],
                labels=[label for _, label, _ in good],
                splits=[entry.split for entry, _, _ in good],
                names=[self._relative(entry.path) for entry, _, _ in good],
                places=[self.place(entry.split) for entry, _, _ in good],
            )

    def named(self, path: Path) -> str:
        """Return a file's name as problems give it: beginning with the source's own."""
        return f"{self.path.resolve().name}/{self._relative(path)}"

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    def _label(self, entry: Entry, problems: Problems) -> int | None:
        """Return 0 to 6, or None where the class is left out or bad."""
        name = entry.code
        if self.classes and name.isdecimal():
            name = self.classes[int(name)] if int(name) < len(self.classes) else name
        if left_out := left_out_class(name):
            self.left_out[left_out] += 1
            return None
        emotion = None if name.isdecimal() else canonical(name)
        if emotion is None:
            text = f"the class {entry.code!r} is none of {self.format}"
            problems.add(Kind.LABEL, self.named(entry.path), None, text)
            return None
        return EMOTIONS.index(emotion)

    def _split_by_subject(self, entries: list[Entry]) -> list[Entry]:
        """Give some subjects to validation where that is asked for, and say what was done."""
        subjects = sorted({entry.subject for entry in entries if entry.subject is not None})
        if not subjects or any(entry.split != "train" for entry in entries):
            return entries
        count = round(self.options.validation_subjects * len(subjects))
        if not count:
            self.note = "it has no splits of its own, so everything is for training"
            return entries
        # By a hash, so that neither the order of files nor a missing one decides.
        chosen = set(sorted(subjects, key=lambda s: hashlib.sha256(s.encode()).digest())[:count])
        self.note = f"{count} of {len(subjects)} subjects are for validation, the others to train"
        return [
            replace(entry, split="validation") if entry.subject in chosen else entry
            for entry in entries
        ]


def images_in(folder: Path) -> list[Path]:
    """Return the image files under a folder, in natural order, without hidden ones."""
    return [path for path in listing(folder).files if path.suffix.casefold() in SUFFIXES]


def split_above(root: Path, path: Path) -> str:
    """Return the split that the nearest folder above names ("train_set"), or else `train`."""
    names = (root.resolve().name, *path.relative_to(root).parts[:-1])
    above = (split_named(name.removesuffix("_set")) for name in reversed(names))
    return next((split for split in above if split is not None), "train")


def numbered_folders(root: Path) -> list[Path]:
    """Return the folders `0`, `1`, … of a tree that may be classes.

    Below a folder that names an emotion they are something else, persons most likely.
    """
    return [
        folder
        for folder in listing(root).folders
        if folder.name.isdecimal()
        and not any(
            canonical(name) for name in folder.relative_to(root).parts if not name.isdecimal()
        )
    ]


class NumberedTree(ListedImages):
    """Folders `train/1`, `train/2`, … that are named after the numbers of classes."""

    def entries(self, problems: Problems) -> Iterator[Entry]:
        """Give the images of all folders."""
        for folder in numbered_folders(self.path):
            for file in images_in(folder):
                yield Entry(file, folder.name, split_above(self.path, file))


def cut(
    image: NDArray[np.uint8], box: tuple[float, float, float, float] | None
) -> NDArray[np.uint8]:
    """Return the part of an H×W or H×W×3 image in the box (left, top, width, height).

    What of the box lies outside of the image is left away. Without a box, or with one that lies
    outside as a whole, it is the middle square.
    """
    height, width = image.shape[:2]
    if box is not None:
        left, top, wide, high = box
        rows = slice(max(round(top), 0), max(round(top + high), 0))
        columns = slice(max(round(left), 0), max(round(left + wide), 0))
        if image[rows, columns].size:
            return image[rows, columns]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]
