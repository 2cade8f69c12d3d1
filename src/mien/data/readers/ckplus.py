"""CK+, the Extended Cohn-Kanade data set, in the three forms in which it goes around.

Lucey et al. 2010, "The Extended Cohn-Kanade Dataset (CK+)", and its ReadMe: 593 sequences of 123
subjects go from a neutral face to the peak; 327 have an emotion (0 neutral, 1 anger, 2 contempt,
3 disgust, 4 fear, 5 happy, 6 sadness, 7 surprise) in a file named after the last frame. It has no
splits of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from mien.data.problems import Kind, Problems
from mien.data.readers.listed import Entry, ListedImages, images_in, split_above
from mien.data.readers.pixel_csv import PixelCsv
from mien.data.readers.walk import listing, visible

_FRAME = re.compile(r"(S\d{3})_(\d{3})_(\d{8})")
# Around the landmarks, which end at the chin and the brows, on each side: what FER2013 shows.
_MARGIN = 0.15


class CkPlus(ListedImages):
    """The official folders `cohn-kanade-images`, `Emotion` and, for the face, `Landmarks`.

    Of a sequence with an emotion the last frames (`Options.peak_frames`) have it and the first is
    neutral. Where there are landmarks (68 points) a square around them is cut out, otherwise the
    middle square of the frame is taken.
    """

    format = "CK+ sequences"
    classes = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether a folder holds both the images and the emotions."""
        return bool(_folder(path, "cohn-kanade-images") and _folder(path, "Emotion"))

    def entries(self, problems: Problems) -> Iterator[Entry]:
        """Give the frames of all sequences that have an emotion."""
        images, emotions = _folder(self.path, "cohn-kanade-images"), _folder(self.path, "Emotion")
        landmarks = _folder(self.path, "Landmarks")
        assert images is not None  # or it would not have been recognized
        assert emotions is not None
        for file in sorted(visible(emotions, "_emotion.txt")):
            code = _code(file.read_text(errors="replace"))
            if code is None:
                text = "does not hold one number from 0 to 7"
                problems.add(Kind.LABEL, self.named(file), None, text)
                continue
            folder = images / file.parent.relative_to(emotions)
            frames = images_in(folder)
            if not frames:
                text = f"there are no frames in {folder.relative_to(self.path)}"
                problems.add(Kind.IMAGE, self.named(file), None, text)
                continue
            peak = frames[max(len(frames) - self.options.peak_frames, 1) :] or frames
            # A sequence of which one frame is left has no neutral one.
            for frame in dict.fromkeys([*frames[:1], *peak]):
                marks = landmarks and _landmarks(frame, landmarks, images)
                try:
                    box = _face(marks) if marks else None
                except ValueError:
                    text = f"{frame.stem}_landmarks.txt does not hold two numbers a line"
                    problems.add(Kind.IMAGE, self.named(frame), None, text)
                    continue
                yield Entry(
                    path=frame,
                    code=code if frame in peak else "0",
                    subject=frame.name.split("_")[0],
                    box=box,
                )


class CkPlusTree(ListedImages):
    """CK+48: `anger/S010_004_00000017.png`, the last three frames of each sequence, 48×48."""

    format = "CK+48 folders"

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether all images of a folder are named as frames of CK+, in folders of classes."""
        files = images_in(path)
        return bool(files) and all(_FRAME.match(file.name) for file in files)

    def entries(self, problems: Problems) -> Iterator[Entry]:
        """Give all images; the folder is the class."""
        for file in images_in(self.path):
            split = split_above(self.path, file)
            yield Entry(file, file.parent.resolve().name, split, subject=file.name.split("_")[0])


class CkPlusCsv(PixelCsv):
    """`ckextended.csv`: FER2013's columns and labels, and 7 for contempt."""

    format = "CK+ CSV"
    in_order = False
    unused: ClassVar[Mapping[bytes, str]] = {b"7": "contempt"}

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether a table of pixels is named after CK+."""
        return path.name.casefold().startswith("ck") and super().recognizes(path)


def _folder(root: Path, name: str) -> Path | None:
    if root.name == name:
        return root
    return next((path for path in listing(root).folders if path.name == name), None)


def _code(text: str) -> str | None:
    """Return the number in an emotion's file ("   3.0000000e+00")."""
    try:
        value = float(text)
    except ValueError:
        return None
    return str(int(value)) if value in range(8) else None


def _landmarks(frame: Path, landmarks: Path, images: Path) -> Path | None:
    """Return the file with a frame's landmarks, or None where there is none."""
    file = landmarks / frame.parent.relative_to(images) / f"{frame.stem}_landmarks.txt"
    return file if file.is_file() else None


def _face(marks: Path) -> tuple[float, float, float, float]:
    """Return the box of a face by the file with its landmarks.

    Raises:
        ValueError: the file holds something else.
    """
    points = np.array(marks.read_text(errors="replace").split(), float).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("a landmark is no number")
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max()) * (1 + 2 * _MARGIN)
    left, top = (low + high) / 2 - side / 2
    return float(left), float(top), side, side
