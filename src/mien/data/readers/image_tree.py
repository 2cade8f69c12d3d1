"""Images in folders that are named after their emotions, as Kaggle's FER2013 comes.

`train/happy/Training_123.jpg`, `FER2013Valid/3_happy/7.png` or `happy/7.png`: an image's class is
the nearest folder above it that names an emotion, its split the nearest that names a split.
Kaggle's one test folder is taken apart by the files' names (`PublicTest_…`, `PrivateTest_…`).
Without splits everything is `train`. In a test split images need no class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mien.data.problems import Kind, Problems
from mien.data.readers.base import Reader, Rows, left_out_class, listing_sha256
from mien.data.readers.walk import hidden, natural, visible
from mien.data.splits import split_named, split_of_file, split_order
from mien.emotions import EMOTIONS, UNKNOWN, canonical
from mien.images.decode import SUFFIXES, UnreadableError, decode_whole

_BATCH = 64


@dataclass(frozen=True)
class _Entry:
    """An image and what the folders above it say."""

    path: Path
    split: str | None
    emotion: str | None
    folder: str  # the folder that should name the class

    @property
    def usable(self) -> bool:
        return self.emotion is not None or (self.split == "test" and self.unsorted)

    @property
    def unsorted(self) -> bool:
        """Whether the image lies in no class's folder at all."""
        return self.emotion is None and (not self.folder or split_named(self.folder) is not None)


class ImageTree(Reader):
    """A folder with images in folders."""

    format = "image folders"
    in_order = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        files = [file for file in visible(path) if file.suffix.casefold() in SUFFIXES]
        self._entries = _resolved([_entry(path, file) for file in files])
        self.rows = len(files)

    @classmethod
    def find(cls, path: Path) -> list[Self]:
        """Return a reader where `path` is a folder with at least one image that can be used."""
        if not cls.recognizes(path):
            return []
        tree = cls(path)
        return [tree] if any(entry.usable for entry in tree._entries) else []

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether this may be a tree: any folder may."""
        return path.is_dir()

    def sha256(self) -> str:
        """Return `listing_sha256` of the images."""
        return listing_sha256(self.path, (entry.path for entry in self._entries))

    def read(self, *, color: bool, problems: Problems) -> Iterator[Rows]:
        """Give the images that decode and have a class, sorted by split, class and name."""
        self._report_folders(problems)
        usable = [entry for entry in self._entries if entry.usable]
        for start in range(0, len(usable), _BATCH):
            good: list[tuple[_Entry, NDArray[np.uint8]]] = []
            for entry in usable[start : start + _BATCH]:
                try:
                    good.append((entry, decode_whole(entry.path, color=color)))
                except UnreadableError as error:
                    problems.add(Kind.IMAGE, self._named(entry.path), None, str(error))
            splits = [entry.split or "train" for entry, _ in good]
            yield Rows(
                images=[image for _, image in good],
                labels=[_label(entry) for entry, _ in good],
                splits=splits,
                names=[entry.path.relative_to(self.path).as_posix() for entry, _ in good],
                places=[self.place(split) for split in splits],
            )

    def _named(self, path: Path) -> str:
        return (Path(self.path.resolve().name) / path.relative_to(self.path)).as_posix()

    def _report_folders(self, problems: Problems) -> None:
        """Report empty classes, folders that name no emotion, and images without a class."""
        full = {folder for entry in self._entries for folder in entry.path.parents}
        for folder in sorted(self.path.rglob("*/")):
            if any(map(hidden, folder.relative_to(self.path).parts)) or folder in full:
                continue
            if canonical(folder.name) is not None:
                problems.add(Kind.EMPTY_CLASS, self._named(folder), None, "holds no image")
        unknown: Counter[Path] = Counter()
        for entry in self._entries:
            if not entry.usable and entry.unsorted:
                text = "lies in no folder that is named after an emotion"
                problems.add(Kind.NO_CLASS, self._named(entry.path), None, text)
            elif not entry.usable:
                unknown[entry.path.parent] += 1
        for folder, count in unknown.items():
            if name := left_out_class(folder.name):
                self.left_out[name] += count
                continue
            text = f"{folder.name!r} names no emotion ({count:,} images); known: " + ", ".join(
                EMOTIONS
            )
            problems.add(Kind.UNKNOWN_CLASS, self._named(folder), None, text, count=count)


def _entry(root: Path, file: Path) -> _Entry:
    above = file.relative_to(root).parts[:-1]
    # The source's own name counts, too: `prepare archive/train archive/test`.
    folders = [root.resolve().name, *above][::-1]
    # Words before numbers: in `happy/3/7.png` the 3 is more likely a person than 'happy'.
    named = sorted((f for f in folders if canonical(f)), key=lambda f: f.isdecimal())
    splits = (split_named(folder) for folder in folders)
    return _Entry(
        path=file,
        split=next((split for split in splits if split is not None), None),
        emotion=canonical(named[0]) if named else None,
        folder=above[-1] if above else "",
    )


def _resolved(entries: list[_Entry]) -> list[_Entry]:
    """Take Kaggle's test folder apart by the files' names, and sort.

    A tree with a validation folder of its own keeps what its folders say.
    """
    if not any(entry.split == "validation" for entry in entries):
        entries = [_by_name(entry) for entry in entries]
    return sorted(
        entries, key=lambda entry: (split_order(entry.split), _label(entry), natural(entry.path))
    )


def _by_name(entry: _Entry) -> _Entry:
    by_name = split_of_file(entry.path.stem)
    if entry.split == "train" or by_name is None:
        return entry
    return _Entry(entry.path, by_name, entry.emotion, entry.folder)


def _label(entry: _Entry) -> int:
    return UNKNOWN if entry.emotion is None else EMOTIONS.index(entry.emotion)
