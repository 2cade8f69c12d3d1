"""Contact sheets: some images of a class side by side, with their names, as a PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from mien.data.cache import Dataset
from mien.data.describe import UNLABELED
from mien.emotions import EMOTIONS, UNKNOWN
from mien.files import atomic_path

_COLUMNS, _ROWS = 10, 6
_SIDE, _GAP, _CAPTION, _TITLE = 112, 8, 16, 40
_LONGEST = 20  # letters of a name that fit below an image


def write_sheets(dataset: Dataset, folder: Path) -> list[Path]:
    """Write a contact sheet for each class that has images, and return the files.

    A sheet shows up to 60 images of its class, evenly spaced over all splits, with the names below
    (of a long one the end). The file is named after the class: `happy.png`, `unlabeled.png`.
    """
    written = []
    for label, name in [*enumerate(EMOTIONS), (UNKNOWN, UNLABELED)]:
        rows = np.flatnonzero(np.asarray(dataset.labels) == label)
        if len(rows):
            with atomic_path(folder / f"{name}.png") as temporary:
                contact_sheet(dataset, rows, name).save(temporary)
            written.append(folder / f"{name}.png")
    return written


def contact_sheet(dataset: Dataset, rows: NDArray[np.intp], title: str) -> Image.Image:
    """Draw up to 60 of the given rows of a data set below a title."""
    count = min(len(rows), _COLUMNS * _ROWS)
    shown = rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
    width = _GAP + _COLUMNS * (_SIDE + _GAP)
    height = _TITLE + -(-count // _COLUMNS) * (_SIDE + _CAPTION + _GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text(
        (_GAP, _GAP),
        f"{title}: {count:,} of {len(rows):,} images",
        fill="black",
        font=ImageFont.load_default(size=20),
    )
    font = ImageFont.load_default(size=10)
    for place, row in enumerate(shown):
        left = _GAP + place % _COLUMNS * (_SIDE + _GAP)
        top = _TITLE + place // _COLUMNS * (_SIDE + _CAPTION + _GAP)
        image = Image.fromarray(np.asarray(dataset.images[row]))
        # Pixels stay to be seen, and images that are not square keep their shape.
        fitted = ImageOps.pad(
            image.convert("RGB"), (_SIDE, _SIDE), Image.Resampling.NEAREST, color="white"
        )
        sheet.paste(fitted, (left, top))
        name = str(dataset.names[row])
        caption = name if len(name) <= _LONGEST else "…" + name[-_LONGEST + 1 :]
        draw.text((left, top + _SIDE + 2), caption, fill="black", font=font)
    return sheet
