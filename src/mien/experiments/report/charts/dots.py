"""Rows of dots with intervals: accuracies beside the paper's, differences, subsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mien.experiments.report.charts.svg import circle, diamond, line, picture, text, ticks

_ROW, _TOP, _BOTTOM = 42, 4, 24


@dataclass(frozen=True)
class Row:
    """A row: its label, its figure as text, and where its marks are.

    Attributes:
        label: at the left.
        shown: the figure in words, at the right.
        value: of the dot; None draws none.
        low, high: of the interval.
        paper: of the diamond; None draws none.
    """

    label: str
    shown: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    paper: float | None = None


def dots(
    title: str,
    rows: Sequence[Row],
    *,
    signed: bool = False,
    limits: tuple[float, float] | None = None,
) -> Markup:
    """Return a chart as wide as its place.

    Args:
        title: what a screen reader says of it.
        rows: from top to bottom; figures in percent or points.
        signed: draw the line of no difference, and signs at the axis.
        limits: of the axis; by the rows where not given.
    """
    low, high = limits or limits_of(rows, signed=signed)
    place = _Scale(low, high)
    bottom = _TOP + _ROW * len(rows)
    parts: list[Markup] = []
    for tick in ticks(low, high):
        zero = signed and abs(tick) < 1e-9
        parts.append(line(place(tick), _TOP, place(tick), bottom, "zero" if zero else "rule"))
        label = _signed(tick) if signed else f"{tick:g}"
        parts.append(text(place(tick), bottom + 16, label, "tick", "middle"))
    for number, row in enumerate(rows):
        parts += _row(row, _TOP + _ROW * number, place)
    return picture(title, parts, class_="wide", width="100%", height=bottom + _BOTTOM)


def limits_of(rows: Sequence[Row], *, signed: bool = False) -> tuple[float, float]:
    """Return the ends of an axis on which all marks of the rows find place."""
    marks = [
        mark
        for row in rows
        for mark in (row.value, row.low, row.high, row.paper)
        if mark is not None and mark == mark
    ]
    if signed:
        marks += [-1.0, 1.0]
    if not marks:
        return 0.0, 100.0
    low, high = min(marks), max(marks)
    margin = max((high - low) * 0.04, 0.5)
    return low - margin, high + margin


class _Scale:
    """Places on an axis, in percent of the chart's width."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __call__(self, value: float) -> str:
        return f"{3 + 94 * (value - self.low) / (self.high - self.low):.2f}%"


def _row(row: Row, top: float, place: _Scale) -> list[Markup]:
    middle = top + 27
    parts = [
        text("0", top + 14, row.label, "label"),
        text("100%", top + 14, row.shown, "figure", "end"),
        line("3%", middle, "97%", middle, "rail"),
    ]
    if row.low is not None and row.high is not None and row.low == row.low:
        parts.append(line(place(row.low), middle, place(row.high), middle, "interval"))
    if row.paper is not None:
        parts.append(diamond(place(row.paper), middle, 6, "paper"))
    if row.value is not None and row.value == row.value:
        parts.append(circle(place(row.value), middle, 4.5, "ours"))
    return parts


def _signed(value: float) -> str:
    if abs(value) < 1e-9:
        return "0"
    return f"{value:+g}".replace("-", "−")


def columns(
    title: str,
    points: Sequence[tuple[int, float]],
    *,
    marked: tuple[int, float] | None,
) -> Markup:
    """Return a chart of many values in columns, the highest of each ringed and named.

    Args:
        title: what a screen reader says of it.
        points: column (from 1) and value in percent.
        marked: a point that gets a diamond.
    """
    values = [value for _, value in points]
    low, high = min(values) - 0.5, max(values) + 1.0
    count, height, left, right = max(column for column, _ in points), 260, 9.0, 99.0

    def x(column: float) -> str:
        return f"{left + (right - left) * (column - 0.5) / count:.2f}%"

    def y(value: float) -> float:
        return round(12 + height * (high - value) / (high - low), 2)

    parts: list[Markup] = []
    for tick in ticks(low, high):
        parts.append(line(f"{left}%", y(tick), "100%", y(tick), "rule"))
        parts.append(text(f"{left - 1}%", y(tick) + 4, f"{tick:g}", "tick", "end"))
    for number, (column, value) in enumerate(points):
        # Spread sideways, always in the same way, so that points do not hide each other.
        aside = ((number * 0.618) % 1 - 0.5) * 0.6
        parts.append(circle(x(column + aside), y(value), 2.2, "speck"))
    for column in range(1, count + 1):
        best = max((v for c, v in points if c == column), default=None)
        parts.append(text(x(column), height + 32, str(column), "tick", "middle"))
        if best is not None:
            parts.append(circle(x(column), y(best), 4.5, "ours"))
            parts.append(text(x(column), y(best) - 9, f"{best:.1f}", "figure", "middle"))
    if marked is not None:
        parts.append(diamond(x(marked[0]), y(marked[1]), 6, "paper"))
    return picture(title, parts, class_="wide", width="100%", height=height + 40)
