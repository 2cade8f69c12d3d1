"""AffectNet: the manually annotated lists, the arrays of the release AffectNet-8, or folders.

Mollahosseini et al. 2017, "AffectNet: a database for facial expression, valence, and arousal
computing in the wild". 0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 anger,
7 contempt, 8 none, 9 uncertain, 10 non-face; the last four are left out. Its test images have
never been published: there are training and validation.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mien.data.problems import Kind, Problems
from mien.data.readers.listed import (
    Entry,
    ListedImages,
    NumberedTree,
    numbered_folders,
    split_above,
)
from mien.data.readers.walk import listing, natural, visible
from mien.data.splits import split_of_file
from mien.data.tables import header

_CLASSES = (
    *("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger"),
    *("contempt", "none", "uncertain", "non-face"),
)
_COLUMNS = (
    *("subdirectory_filepath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)


class AffectNetList(ListedImages):
    """`training.csv` and `validation.csv`, and the images in their numbered folders.

    The published validation list has no line with the columns' names. The face's box in the list
    is cut out.
    """

    format = "AffectNet lists"
    classes = _CLASSES

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether a folder holds such a list."""
        return bool(_lists(path))

    def entries(self, problems: Problems) -> Iterator[Entry]:
        """Give the rows of all lists; an image that is missing is reported when it is read."""
        for file in _lists(self.path):
            columns = header(file)
            named = set(_COLUMNS[:1]) <= set(columns)
            places = {
                name: columns.index(name) if named else _COLUMNS.index(name)
                for name in (*_COLUMNS[:5], "expression")
            }
            split = split_of_file(file.stem) or "train"
            root: Path | None = None
            with file.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
                lines = csv.reader(stream)
                if named:
                    next(lines)
                for fields in lines:
                    if len(fields) != len(columns):
                        text = f"{len(fields)} fields instead of {len(columns)}"
                        problems.add(Kind.FIELDS, self.named(file), lines.line_num, text)
                        continue
                    values = {name: fields[place].strip() for name, place in places.items()}
                    image = values["subdirectory_filepath"]
                    if Path(image).anchor:
                        text = f"{image[:60]!r} is no path within the data set"
                        problems.add(Kind.FIELDS, self.named(file), lines.line_num, text)
                        continue
                    root = root or self._root(image, file)
                    yield Entry(root / image, values["expression"], split, box=_box(values))

    def _root(self, image: str, file: Path) -> Path:
        """Return the folder that the list's paths begin at."""
        around = (self.path, *listing(self.path).folders)
        return next((folder for folder in around if (folder / image).is_file()), file.parent)


class AffectNetArrays(ListedImages):
    """AffectNet-8: `train_set/images/0.jpg` and its class in `train_set/annotations/0_exp.npy`.

    The faces are cut out already, 224×224.
    """

    format = "AffectNet arrays"
    classes = _CLASSES

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether a folder holds both `images` and `annotations/…_exp.npy`."""
        return bool(_annotations(path))

    def entries(self, problems: Problems) -> Iterator[Entry]:
        """Give the images that have a class; one that is missing is reported when it is read."""
        for folder in _annotations(self.path):
            split = split_above(self.path, folder)
            for file in sorted(folder.glob("*_exp.npy"), key=natural):
                image = folder.parent / "images" / f"{file.stem.removesuffix('_exp')}.jpg"
                try:
                    # An array of text without dimensions in the release ("7"), or a number.
                    code = str(int(np.load(file).item()))
                except (ValueError, OSError, EOFError):
                    text = "is no array with one number"
                    problems.add(Kind.LABEL, self.named(file), None, text)
                    continue
                yield Entry(image, code, split)


class AffectNetTree(NumberedTree):
    """Folders `train/0` to `7` with AffectNet's numbers, which are not FER2013's.

    Folders 0 to 6 are AffectNet's only where the source is called so.
    """

    format = "AffectNet folders"
    classes = _CLASSES

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether classes are numbered 0 to 7, or 0 to 6 in a folder named AffectNet."""
        numbers = {folder.name for folder in numbered_folders(path)}
        named = "affectnet" in path.resolve().name.casefold()
        return numbers == set("01234567") or (named and numbers == set("0123456"))


def _lists(root: Path) -> list[Path]:
    """Return the lists under a folder; one without names of columns has nine of the right kind."""
    return [
        file
        for file in sorted(visible(root, ".csv"))
        if set(_COLUMNS[:5]) <= set(header(file)) or _is_bare_list(header(file))
    ]


def _is_bare_list(first: list[str]) -> bool:
    return (
        len(first) == len(_COLUMNS)
        and "/" in first[0]
        and all(value.lstrip("-").isdecimal() for value in (*first[1:5], first[6]))
    )


def _box(values: dict[str, str]) -> tuple[float, float, float, float] | None:
    """Return the face's box, or None where the list has none."""
    try:
        left, top, width, height = (float(values[name]) for name in _COLUMNS[1:5])
    except ValueError:
        return None
    known = all(map(math.isfinite, (left, top, width, height))) and width > 0 and height > 0
    return (left, top, width, height) if known else None


def _annotations(root: Path) -> list[Path]:
    """Return the folders `annotations` with classes that have `images` beside them."""
    return [
        folder
        for folder in listing(root).folders
        if folder.name == "annotations"
        and (folder.parent / "images").is_dir()
        and any(folder.glob("*_exp.npy"))
    ]
