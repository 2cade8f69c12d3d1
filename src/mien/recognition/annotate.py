"""Draws what was recognized: a box around each face and, near it, a panel with seven bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.recognition.results import Face, Picture, TrackedFace

# Okabe and Ito's palette, which people with any colour vision can tell apart.
COLORS: dict[str, str] = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#F0E442",
    "sad": "#4A9BD9",  # the palette's blue is too dark for text on a dark panel
    "surprise": "#E69F00",
    "neutral": "#D9D9D9",
}
SMALLEST_SIDE = 960
"""Pictures whose longer side has fewer pixels are enlarged, so that the text can be read."""

LARGEST_SIDE = 4096
"""Pictures should not be larger than this when they are annotated: memory stays bounded."""

_PANEL = (18, 18, 22, 215)
_TRACK = (72, 72, 78, 235)
_DIM = (205, 205, 210, 255)
_DARK = (18, 18, 22, 255)
_MOST_COVERED = 0.45  # the part of the picture that panels may fill; beyond it faces get labels

Rectangle: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Style:
    """Measures in pixels, all from the size of the picture."""

    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    em: float
    line: int

    @property
    def panel(self) -> tuple[int, int]:
        """Width and height of a panel."""
        return round(13.2 * self.em), round((7 * 1.4 + 0.9) * self.em)


def annotate(pixels: NDArray[np.uint8], picture: Picture, *, compact: bool = False) -> Image.Image:
    """Return a picture with its faces marked.

    Panels go where they cover no face and no other panel, as near to their face as they can; a
    line leads to those that are not beside it. Where there are too many faces for that, each gets
    its emotion and confidence as a label.

    Args:
        pixels: uint8, H×W×3, RGB: the picture upright, at any scale (see `decode`).
        picture: what was recognized in it; a frame of a video as well.
        compact: labels instead of panels, and nothing enlarged: for the frames of a video, in
            which panels would jump about.

    Returns:
        RGB; as large as `pixels`, or (if not `compact`) enlarged to a longer side of
        `SMALLEST_SIDE`.
    """
    image = Image.fromarray(pixels)
    factor = 1.0 if compact else max(SMALLEST_SIDE / max(image.size), 1.0)
    if factor > 1:
        size = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if not picture.faces:
        return image
    em = max(max(image.size) / 64, 12)
    style = Style(ImageFont.load_default(em), em, max(round(em / 5), 2))
    boxes = [_scaled(face, picture, image) for face in picture.faces]
    overlay = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(overlay)
    for face, box in zip(picture.faces, boxes, strict=True):
        draw_outline(draw, box, COLORS[face.emotion], style.line)
    width, height = style.panel
    covered = len(boxes) * width * height / (image.width * image.height)
    if not compact and covered <= _MOST_COVERED and width < image.width and height < image.height:
        places = _places(boxes, style, image.size)
        for face, box, place in zip(picture.faces, boxes, places, strict=True):
            _leader(draw, box, place, COLORS[face.emotion], style.line)
        for face, place in zip(picture.faces, places, strict=True):
            draw_panel(draw, face, place, style)
    else:
        for face, box in zip(picture.faces, boxes, strict=True):
            _label(draw, face, box, style, image.size)
    return Image.alpha_composite(image.convert("RGBA"), overlay).convert("RGB")


def _scaled(face: Face, picture: Picture, image: Image.Image) -> Rectangle:
    x, y, width, height = face.box
    across, down = image.width / picture.width, image.height / picture.height
    return x * across, y * down, (x + width) * across, (y + height) * down


def _places(boxes: list[Rectangle], style: Style, size: tuple[int, int]) -> list[Rectangle]:
    """Return where the panels go, one a face: the cheapest place for each, crowded faces first."""
    width, height = style.panel
    gap = style.em / 2
    step = max(style.em, 8)
    lefts, tops = np.meshgrid(
        np.append(np.arange(gap, size[0] - width - gap, step), max(size[0] - width - gap, 0)),
        np.append(np.arange(gap, size[1] - height - gap, step), max(size[1] - height - gap, 0)),
    )
    places: dict[int, Rectangle] = {}
    # Those at the rim have the fewest places beside them.
    middle = size[0] / 2
    order = sorted(range(len(boxes)), key=lambda i: -abs((boxes[i][0] + boxes[i][2]) / 2 - middle))
    for index in order:
        own = boxes[index]
        # Places beside and below the face, exactly, and all over the picture.
        x = np.append(lefts.ravel(), [own[2] + gap, own[0] - width - gap, own[0], own[0]])
        y = np.append(tops.ravel(), [own[1], own[1], own[3] + gap, own[1] - height - gap])
        inside = (x >= 0) & (y >= 0) & (x + width <= size[0]) & (y + height <= size[1])
        x, y = x[inside], y[inside]
        cost = _distance(own, x, y, width, height) / style.em
        for box in boxes:
            cost += 1000 * _covered(box, x, y, width, height) / _area(box)
        for place in places.values():
            cost += 1000 * _covered(_grown(place, gap), x, y, width, height) / (width * height)
        best = int(np.argmin(cost))
        places[index] = (x[best], y[best], x[best] + width, y[best] + height)
    return [places[index] for index in range(len(boxes))]


def _covered(
    box: Rectangle, x: NDArray[np.float64], y: NDArray[np.float64], width: int, height: int
) -> NDArray[np.float64]:
    """Return how many pixels of a box the panels at all places cover."""
    across = np.minimum(box[2], x + width) - np.maximum(box[0], x)
    down = np.minimum(box[3], y + height) - np.maximum(box[1], y)
    pixels: NDArray[np.float64] = np.maximum(across, 0) * np.maximum(down, 0)
    return pixels


def _distance(
    box: Rectangle, x: NDArray[np.float64], y: NDArray[np.float64], width: int, height: int
) -> NDArray[np.float64]:
    """Return the gap between a box and the panels; far-off centers count a little.

    They count less across than down: a panel beside a face hides less of a person than one below.
    """
    across = np.maximum(np.maximum(x - box[2], box[0] - (x + width)), 0)
    down = np.maximum(np.maximum(y - box[3], box[1] - (y + height)), 0)
    centers = np.hypot(
        0.6 * (x + width / 2 - (box[0] + box[2]) / 2), y + height / 2 - (box[1] + box[3]) / 2
    )
    distance: NDArray[np.float64] = np.hypot(across, down) + 0.15 * centers
    return distance


def _area(box: Rectangle) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _grown(box: Rectangle, by: float) -> Rectangle:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def draw_outline(draw: ImageDraw.ImageDraw, box: Rectangle, color: str, line: int) -> None:
    """Outline a face: a line of `line` pixels around its box, in `color`."""
    # A dark rim keeps a light box visible on a light picture.
    radius = 2 * line
    draw.rounded_rectangle(_grown(box, 1), radius + 1, outline=_DARK, width=line + 2)
    draw.rounded_rectangle(box, radius, outline=color, width=line)


def _leader(
    draw: ImageDraw.ImageDraw, box: Rectangle, place: Rectangle, color: str, line: int
) -> None:
    """Connect a panel and its box by the shortest line between their rims."""

    def ends(low: float, high: float, other_low: float, other_high: float) -> tuple[float, float]:
        if other_low >= high:
            return high, other_low
        if other_high <= low:
            return low, other_high
        middle = (max(low, other_low) + min(high, other_high)) / 2
        return middle, middle

    x0, x1 = ends(box[0], box[2], place[0], place[2])
    y0, y1 = ends(box[1], box[3], place[1], place[3])
    draw.line((x0, y0, x1, y1), fill=_DARK, width=line + 2)
    draw.line((x0, y0, x1, y1), fill=color, width=line)


def draw_panel(draw: ImageDraw.ImageDraw, face: Face, place: Rectangle, style: Style) -> None:
    """Draw the seven bars of a face at a place that is as large as `style.panel`."""
    em, left, top, right = style.em, place[0], place[1], place[2]
    draw.rounded_rectangle(place, em / 2, fill=_PANEL, outline=COLORS[face.emotion], width=1)
    start, end = left + 5.3 * em, right - 3.1 * em
    for row, (emotion, score) in enumerate(face.scores.items()):
        middle = top + (0.45 + 1.4 * (row + 0.5)) * em
        color = "white" if emotion == face.emotion else _DIM
        draw.text((left + 0.6 * em, middle), emotion, fill=color, font=style.font, anchor="lm")
        percent = f"{score:.0%}"
        draw.text((right - 0.6 * em, middle), percent, fill=color, font=style.font, anchor="rm")
        bar = (start, middle - 0.4 * em, end, middle + 0.4 * em)
        draw.rounded_rectangle(bar, 0.2 * em, fill=_TRACK)
        length = score * (end - start)
        if length >= 1:
            filled = (start, bar[1], start + length, bar[3])
            draw.rounded_rectangle(filled, min(0.2 * em, length / 2), fill=COLORS[emotion])


def _label(
    draw: ImageDraw.ImageDraw, face: Face, box: Rectangle, style: Style, size: tuple[int, int]
) -> None:
    """Write emotion and confidence above a box, or inside where there is no room above."""
    text = f"{face.emotion}{'?' if face.uncertain else ''} {face.confidence:.0%}"
    if isinstance(face, TrackedFace):
        text = f"{face.track} {text}"
    width, height = draw.textlength(text, font=style.font) + style.em * 0.6, 1.4 * style.em
    left = min(max(box[0], 0), max(size[0] - width, 0))
    top = box[1] - height if box[1] >= height else box[1]
    draw.rectangle((left, top, left + width, top + height), fill=_PANEL)
    middle = (left + 0.3 * style.em, top + height / 2)
    draw.text(middle, text, fill=COLORS[face.emotion], font=style.font, anchor="lm")
