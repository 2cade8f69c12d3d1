"""Draws where the network looked: the photo with its faces numbered, and a heat map a face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from mien.images.decode import Decoded
from mien.recognition.annotate import COLORS, Style, draw_outline, draw_panel
from mien.recognition.explain import Explanation

LEAST_SCALE = 0.1
"""The end of the color scale, at least: where hiding things hardly matters, the map stays pale."""

_EM, _LINE, _GAP = 20, 3, 24
_TILE = 240  # the side of a face and of its map
_PHOTO = 420  # the photo's height, at most
_HEAD, _LEGEND = 44, 104
_BACKGROUND, _INK, _DIM = "#121216", "white", "#CDCDD2"
_LOWERS, _RAISES = "#FF6A00", "#3D8BFF"  # apart for people with any color vision
_OPAQUE = 0.8  # of the color at the end of the scale


def draw_explanations(decoded: Decoded, explanations: Sequence[Explanation]) -> Image.Image:
    """Return the photo, and below it for each face what the network saw, the map, and its scores.

    All maps share one scale, which goes to the largest drop or rise in any of them, in steps of 5
    points, and is drawn below them.

    Args:
        decoded: the photo.
        explanations: of its faces, as `mien.explain` returns them; at least one.

    Returns:
        RGB; higher with each face.
    """
    style = Style(ImageFont.load_default(_EM), _EM, _LINE)
    panel = style.panel
    width = 4 * _GAP + 2 * _TILE + panel[0]
    photo = _numbered(decoded, explanations, style, (width - 2 * _GAP, _PHOTO))
    row = _HEAD + _TILE + _GAP
    height = 2 * _GAP + photo.height + row * len(explanations) + _LEGEND
    image = Image.new("RGBA", (width, height), _BACKGROUND)
    image.paste(photo, ((width - photo.width) // 2, _GAP))
    draw = ImageDraw.Draw(image)
    scale = _scale(explanations)
    top = 2 * _GAP + photo.height
    for explanation in explanations:
        _row(image, explanation, (_GAP, top), scale, style)
        left = 3 * _GAP + 2 * _TILE
        middle = top + _HEAD + (_TILE - panel[1]) // 2
        place = (left, middle, left + panel[0], middle + panel[1])
        draw_panel(draw, explanation.face, place, style)
        top += row
    _legend(image, top, scale, style)
    return image.convert("RGB")


def heat_map(
    image: NDArray[np.uint8], drops: NDArray[np.float32], scale: float
) -> NDArray[np.uint8]:
    """Return an image with its drops laid over it as color.

    Args:
        image: uint8, H×W×3.
        drops: float32, rows × columns, over the whole image.
        scale: the drop (or rise) that gets the full color.

    Returns:
        uint8, H×W×3: orange where hiding lowers the probability, blue where it raises it.
    """
    size = (image.shape[1], image.shape[0])
    smooth = np.asarray(Image.fromarray(drops).resize(size, Image.Resampling.BILINEAR))
    return _tinted(image, smooth / scale)


def _tinted(image: NDArray[np.uint8], strength: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Return an image tinted by -1 (all blue) to 1 (all orange), H×W; gray first."""
    luma = image @ np.array([0.299, 0.587, 0.114])
    colors = np.array([ImageColor.getrgb(_RAISES), ImageColor.getrgb(_LOWERS)], np.float64)
    opacity = _OPAQUE * np.clip(np.abs(strength), 0, 1)[..., None]
    mixed = luma[..., None] * (1 - opacity) + colors[(strength > 0).astype(int)] * opacity
    tinted: NDArray[np.uint8] = mixed.round().astype(np.uint8)
    return tinted


def _scale(explanations: Sequence[Explanation]) -> float:
    largest = max(float(np.abs(explanation.drops).max()) for explanation in explanations)
    return max(math.ceil(largest * 20) / 20, LEAST_SCALE)


def _numbered(
    decoded: Decoded, explanations: Sequence[Explanation], style: Style, room: tuple[int, int]
) -> Image.Image:
    """Return the photo, as large as the room allows, with the faces' numbers."""
    photo = Image.fromarray(decoded.pixels)
    factor = min(room[0] / photo.width, room[1] / photo.height)
    size = (max(round(photo.width * factor), 1), max(round(photo.height * factor), 1))
    photo = photo.resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(photo)
    across, down = photo.width / decoded.width, photo.height / decoded.height
    for explanation in explanations:
        x, y, width, height = explanation.face.box
        box = (x * across, y * down, (x + width) * across, (y + height) * down)
        color = COLORS[explanation.face.emotion]
        draw_outline(draw, box, color, style.line)
        corner = (box[0] + 1.5 * style.line, box[1] + style.line)
        draw.text(
            corner, str(explanation.number), color, style.font, stroke_width=2, stroke_fill="black"
        )
    return photo


def _row(
    image: Image.Image,
    explanation: Explanation,
    corner: tuple[int, int],
    scale: float,
    style: Style,
) -> None:
    """Draw the heading of a face, the face as the network saw it, and its map."""
    draw = ImageDraw.Draw(image)
    left, top = corner
    heading = f"{explanation.number}  {explanation.emotion} {explanation.probability:.0%}"
    middle = top + _HEAD / 2
    draw.text((left, middle), heading, _INK, style.font, anchor="lm")
    end = left + _TILE + _GAP
    text = f"hiding costs up to {100 * float(explanation.drops.max()):.0f} points"
    draw.text((end, middle), text, _DIM, style.font, anchor="lm")
    seen = Image.fromarray(explanation.image).convert("RGB")
    face = seen.resize((_TILE, _TILE), Image.Resampling.BICUBIC)
    image.paste(face, (left, top + _HEAD))
    heat = heat_map(np.asarray(face), explanation.drops, scale)
    image.paste(Image.fromarray(heat), (end, top + _HEAD))


def _legend(image: Image.Image, top: int, scale: float, style: Style) -> None:
    """Draw the scale of the maps, as wide as they and the faces are."""
    draw = ImageDraw.Draw(image)
    heading = "Where a part is hidden, the probability"
    draw.text((_GAP, top + _HEAD / 2), heading, _INK, style.font, anchor="lm")
    width = image.width - 2 * _GAP
    strength = np.linspace(-1, 1, width, dtype=np.float32)[None].repeat(_EM, axis=0)
    bar = _tinted(np.full((_EM, width, 3), 160, np.uint8), strength)
    image.paste(Image.fromarray(bar), (_GAP, top + _HEAD))
    points = round(100 * scale)
    texts = (f"rises by {points} points", "stays", f"falls by {points} points")
    for x, text, anchor in zip(
        (_GAP, image.width / 2, image.width - _GAP), texts, ("lm", "mm", "rm"), strict=True
    ):
        draw.text((x, top + _HEAD + 1.8 * _EM), text, _DIM, style.font, anchor=anchor)
