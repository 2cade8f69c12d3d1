"""A small panel with the course of the trainings of one recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from mien.experiments.report.charts.svg import circle, line, picture, tag, text, ticks
from mien.experiments.report.run_folder import Epoch

_Place = Callable[[float], float]
_WIDTH, _HEIGHT = 320, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 312, 8, 176


def curves(title: str, runs: Sequence[Sequence[Epoch]], limits: tuple[float, float]) -> Markup:
    """Return a panel: training accuracy dashed, validation solid, a ring at the best epoch.

    Args:
        title: what a screen reader says of it.
        runs: the histories, a line each.
        limits: of the axis of accuracy, in percent.
    """
    epochs = max(len(run) for run in runs)
    low, high = limits

    def x(epoch: float) -> float:
        return _LEFT + 8 + (_RIGHT - _LEFT - 16) * (epoch - 1) / max(epochs - 1, 1)

    def y(percent: float) -> float:
        return _TOP + (_BOTTOM - _TOP) * (high - percent) / (high - low)

    parts: list[Markup] = []
    for tick in ticks(low, high, 5):
        parts.append(line(_LEFT, y(tick), _RIGHT, y(tick), "rule"))
        parts.append(text(_LEFT - 5, y(tick) + 4, f"{tick:g}", "tick", "end"))
    for tick in ticks(1, epochs, 6):
        if tick == int(tick) and tick >= 1:
            parts.append(text(x(tick), _BOTTOM + 16, f"{tick:g}", "tick", "middle"))
    for run in runs:
        boundaries = [n for n in range(1, len(run)) if run[n].stage != run[n - 1].stage]
        for number in boundaries:
            at = x(number + 0.5)
            parts.append(line(at, _TOP, at, _BOTTOM, "boundary"))
    for run in runs:
        parts += _path([each.train for each in run], x, y, "train")
        parts += _path([each.validation for each in run], x, y, "validation")
        best = best_epoch(run)
        if best is not None:
            parts.append(circle(x(best + 1), y(100 * run[best].validation), 4, "best"))
    return picture(title, parts, class_="panel", viewBox=f"0 0 {_WIDTH} {_HEIGHT}")


def best_epoch(run: Sequence[Epoch]) -> int | None:
    """Return the place of the epoch with the best validation accuracy, the first of equals."""
    known = [n for n, each in enumerate(run) if not math.isnan(each.validation)]
    return max(known, key=lambda n: run[n].validation, default=None)


def limits_of(histories: Sequence[Sequence[Epoch]]) -> tuple[float, float]:
    """Return the ends of an axis for all of the histories, in percent and whole tens."""
    values = [
        100 * value
        for run in histories
        for each in run
        for value in (each.train, each.validation)
        if not math.isnan(value)
    ]
    if not values:
        return 0.0, 100.0
    low, high = math.floor(min(values) / 10) * 10, math.ceil(max(values) / 10) * 10
    return float(low), float(max(high, low + 10))


def _path(values: list[float], x: _Place, y: _Place, class_: str) -> list[Markup]:
    points = [
        f"{x(number):.1f},{y(100 * value):.1f}"
        for number, value in enumerate(values, start=1)
        if not math.isnan(value)
    ]
    return [tag("polyline", points=" ".join(points), class_=class_)] if points else []
