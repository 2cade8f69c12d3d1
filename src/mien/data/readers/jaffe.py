"""JAFFE, the Japanese Female Facial Expression data set: `KA.AN1.39.tiff`.

Lyons et al. 1998, "Coding facial expressions with Gabor wavelets": 213 gray images of 256×256 of
ten women. A name has the woman, the expression posed (AN, DI, FE, HA, SA, SU, NE) with a number,
and the image's number. It has no splits of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mien.data.problems import Problems
from mien.data.readers.listed import Entry, ListedImages, images_in, split_above

# Some copies have blanks or a second dot in a name, and "JPG" or "png" at its end.
_NAME = re.compile(r"([A-Z]{2})\.\s*(AN|DI|FE|HA|SA|SU|NE)\s*(\d+)\.", re.IGNORECASE)
_EXPRESSIONS = {
    "AN": "angry",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happy",
    "SA": "sad",
    "SU": "surprise",
    "NE": "neutral",
}


class Jaffe(ListedImages):
    """A folder with JAFFE's images."""

    format = "JAFFE"

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Say whether all images of a folder have JAFFE's names."""
        files = images_in(path)
        return bool(files) and all(_NAME.match(file.name) for file in files)

    def entries(self, problems: Problems) -> Iterator[Entry]:
        """Give all images."""
        for file in images_in(self.path):
            found = _NAME.match(file.name)
            assert found is not None  # or it would not have been recognized
            split = split_above(self.path, file)
            yield Entry(file, _EXPRESSIONS[found[2].upper()], split, subject=found[1].upper())
