"""The few pieces that all charts are made of.

Positions may be texts such as "25%": a chart in percent is as wide as its place and its letters
stay as large as the page's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup, escape

Length = float | str


def tag(name: str, *children: Markup | str, **attributes: object) -> Markup:
    """Return an element; `font_size` stands for `font-size`, `class_` for `class`."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{said}>{inside}</{name}>")


def picture(title: str, children: Iterable[Markup], **attributes: object) -> Markup:
    """Return a whole chart; the title is what a screen reader says of it."""
    return tag("svg", tag("title", title), *children, role="img", aria_label=title, **attributes)


def line(x1: Length, y1: Length, x2: Length, y2: Length, class_: str) -> Markup:
    """Return a line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: Length, y: Length, content: str, class_: str = "", anchor: str = "start") -> Markup:
    """Return a text; the anchor is start, middle or end."""
    return tag("text", content, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def circle(x: Length, y: Length, radius: float, class_: str) -> Markup:
    """Return a circle."""
    return tag("circle", cx=x, cy=y, r=radius, class_=class_)


def diamond(x: Length, y: Length, radius: float, class_: str) -> Markup:
    """Return a square on its corner, around a point that may be in percent."""
    corners = f"0,{-radius} {radius},0 0,{radius} {-radius},0"
    shape = tag("polygon", points=corners, class_=class_)
    return tag("svg", shape, x=x, y=y, overflow="visible")


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between two, at most so many and their distance 1, 2 or 5 · 10ⁿ."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(s * power for s in (1, 2, 5, 10, 20) if span / (s * power) <= most)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
