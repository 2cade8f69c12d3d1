"""RAF-DB's basic emotions, with their list or in numbered folders.

Li et al. 2017, "Reliable crowdsourcing and deep locality-preserving learning for expression
recognition in the wild": 12,271 images for training and 3,068 for testing, 100×100 where aligned;
1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger, 7 neutral.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mien.data.problems import Kind, Problems
from mien.data.readers.listed import Entry, ListedImages, NumberedTree, images_in, numbered_folders
from mien.data.readers.walk import listing
from mien.data.splits import split_of_file

_LIST = "list_patition_label.txt"  # spelled so
# 0 stands for nothing here.
_CLASSES = ("", "surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


class RafDb(ListedImages):
    """The official form: lines `train_00001.jpg 5`, images in `Image/aligned` or another folder.

    The aligned image `train_00001_aligned.jpg` is taken where there is one.
    """

    format = "RAF-DB list"
    classes = _CLASSES

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether a folder holds the list."""
        return path.is_dir() and bool(_lists(path))

    def entries(self, problems: Problems) -> Iterator[Entry]:
        """Give the images of the list; one that is missing is reported when it is read."""
        images = {file.name: file for file in images_in(self.path)}
        file = min(_lists(self.path))
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            name, _, code = line.strip().rpartition(" ")
            split = split_of_file(name)
            if split is None:
                text = f"{line[:60]!r} is not a name (train_… or test_…) and a number"
                problems.add(Kind.FIELDS, self.named(file), number, text)
                continue
            plain = Path(name.strip())
            aligned = f"{plain.stem}_aligned{plain.suffix}"
            found = images.get(aligned) or images.get(plain.name) or file.parent / plain.name
            yield Entry(found, code, split)


class RafDbTree(NumberedTree):
    """The form of Kaggle: `DATASET/train/1` to `7` and `DATASET/test/1` to `7`."""

    format = "RAF-DB folders"
    classes = _CLASSES

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether classes are numbered 1 to 7; FER2013's begin with 0 and end with 6."""
        numbers = {folder.name for folder in numbered_folders(path)}
        return numbers == set("1234567")


def _lists(root: Path) -> list[Path]:
    return [file for file in listing(root).files if file.name == _LIST]
