"""Squares of shares with their numbers: confusion matrices, pairwise disagreement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mien.experiments.report.charts.palette import step_of
from mien.experiments.report.charts.svg import picture, tag, text

_CELL, _LEFT, _TOP = 37, 64, 22


def heat(
    title: str,
    shares: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    full: float = 1.0,
    left: int = _LEFT,
) -> Markup:
    """Return a map of shares, written in whole percent.

    Args:
        title: what a screen reader says of it.
        shares: 0 to 1; NaN leaves a cell empty.
        rows, columns: what they are called.
        full: the share that gets the strongest color.
        left: room for the rows' names.
    """
    height, width = _TOP + _CELL * len(rows) + 2, left + _CELL * len(columns) + 2
    parts: list[Markup] = []
    for number, name in enumerate(columns):
        x = left + _CELL * (number + 0.5)
        parts.append(text(x, _TOP - 8, name, "tick", "middle"))
    for row, name in enumerate(rows):
        y = _TOP + _CELL * row
        parts.append(text(left - 7, y + _CELL / 2 + 4, name, "tick", "end"))
        for column, share in enumerate(shares[row].tolist()):
            x = left + _CELL * column
            known = share == share
            step = step_of(share / full) if known and full > 0 else 0
            parts.append(
                tag("rect", x=x, y=y, width=_CELL - 1, height=_CELL - 1, class_=f"s{step}")
            )
            if known:
                at = (x + _CELL / 2 - 0.5, y + _CELL / 2 + 4)
                parts.append(text(*at, f"{100 * share:.0f}", f"t{step}", "middle"))
    # Not stretched beyond its own size, so that the letters stay as large as the page's.
    style = f"max-width:{width}px"
    return picture(title, parts, class_="matrix", viewBox=f"0 0 {width} {height}", style=style)


def confusion(title: str, counts: NDArray[np.int64], emotions: Sequence[str]) -> Markup:
    """Return a confusion matrix in shares of the true emotion's images; rows are true."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)
    return heat(title, shares, emotions, [each[:3] for each in emotions])
