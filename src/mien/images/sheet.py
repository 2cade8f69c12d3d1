"""Contact sheets: pictures side by side under a title, each with a caption or none."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from mien.images.batches import Images

TILE = 256
"""The longest side of a picture on a sheet, in pixels."""

_PAPER, _INK, _FAINT = "#ffffff", "#1a1a1a", "#6b6b6b"
_MARGIN, _GAP = 28, 16
_TITLE, _NAME, _DETAIL = 22, 17, 13  # sizes of type


@dataclass(frozen=True)
class Picture:
    """A picture on a sheet.

    Attributes:
        image: uint8, H×W or H×W×3.
        name: the caption, in plain type; empty for none.
        detail: a second, smaller line of the caption; empty for none.
    """

    image: Images
    name: str = ""
    detail: str = ""


def contact_sheet(
    pictures: Sequence[Picture], *, title: str, subtitle: str, columns: int, tile: int = TILE
) -> Image.Image:
    """Draw pictures of one size row by row.

    Small ones are enlarged by a whole factor, so that their pixels can be seen; ones larger than
    `tile` are reduced.

    Args:
        pictures: at least one; all of the first one's size.
        title: a line above them.
        subtitle: a smaller line below the title.
        columns: the most pictures in a row.
        tile: the longest side of a picture on the sheet in pixels.

    Returns:
        An RGB picture.
    """
    width, height = _shown_size(pictures[0].image, tile)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    caption = _caption_height(pictures)
    step_x = _GAP + max(width, *(_text_width(p.name, _NAME, p.detail) for p in pictures))
    step_y = _GAP + height + caption
    top = _MARGIN + _TITLE + _DETAIL + 28
    across = max(columns * step_x - _GAP, _text_width(title, _TITLE, subtitle))
    size = (2 * _MARGIN + across, top + rows * step_y - _GAP + _MARGIN)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN - 6), title, _INK, _font(_TITLE))
    draw.text((_MARGIN, _MARGIN + _TITLE + 4), subtitle, _FAINT, _font(_DETAIL))
    for place, picture in enumerate(pictures):
        x, y = _MARGIN + place % columns * step_x, top + place // columns * step_y
        sheet.paste(_scaled(picture.image, (width, height)), (x, y))
        draw.text((x, y + height + 6), picture.name, _INK, _font(_NAME))
        draw.text((x, y + height + _NAME + 10), picture.detail, _FAINT, _font(_DETAIL))
    return sheet


def _shown_size(image: Images, tile: int) -> tuple[int, int]:
    height, width = image.shape[:2]
    longest = max(width, height)
    scale = tile // longest if longest <= tile else tile / longest
    return max(1, round(width * scale)), max(1, round(height * scale))


def _scaled(image: Images, size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(image).convert("RGB")
    larger = size[0] >= picture.width
    return picture.resize(size, Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS)


def _caption_height(pictures: Sequence[Picture]) -> int:
    if any(p.detail for p in pictures):
        return _NAME + _DETAIL + 18
    return _NAME + 12 if any(p.name for p in pictures) else 0


def _text_width(text: str, size: int, detail: str) -> int:
    """Return the pixels across a line of a size and a line of detail below it."""
    return math.ceil(max(_font(size).getlength(text), _font(_DETAIL).getlength(detail)))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
