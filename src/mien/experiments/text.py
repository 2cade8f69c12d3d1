"""Figures as text, the same while the work is done and in both files of the report."""

from __future__ import annotations

from typing import Protocol


class _Interval(Protocol):
    @property
    def low(self) -> float | None: ...

    @property
    def high(self) -> float | None: ...


def percent(share: float | None, digits: int = 1, sign: str = "") -> str:
    """Return a share in percent, with `sign` after it; "–" for none."""
    return "–" if share is None or share != share else f"{100 * share:.{digits}f}{sign}"


def points(difference: float | None, digits: int = 1) -> str:
    """Return a difference in points with its sign; "–" for none."""
    if difference is None or difference != difference:
        return "–"
    rounded = f"{100 * difference:+.{digits}f}"
    return "0.0" if not float(rounded) else rounded.replace("-", "−")


def interval(estimate: _Interval, *, signed: bool = False, digits: int = 1) -> str:
    """Return the two ends of an interval; "–" for none."""
    if estimate.low is None or estimate.high is None or estimate.low != estimate.low:
        return "–"
    one = points if signed else percent
    return f"{one(estimate.low, digits)} to {one(estimate.high, digits)}"


def count(number: int | None) -> str:
    """Return a count with separators; "–" for none."""
    return "–" if number is None else f"{number:,}"


def large(number: int | None) -> str:
    """Return a large count in thousands, millions or billions; "–" for none."""
    if number is None:
        return "–"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return str(number)


def duration(seconds: float | None) -> str:
    """Return a time as `40 s`, `2 min 30 s`, `12 min`, `3 h 20 min` or `2.5 days`; "–" for none."""
    if seconds is None or seconds != seconds:
        return "–"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 599.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{seconds / 86400:,.1f} days"


def mean_epochs(epochs: float) -> str:
    """Return a mean number of epochs; "–" where there are none."""
    return "–" if epochs != epochs else f"{epochs:g}"


def numbers(values: tuple[int, ...]) -> str:
    """Return numbers as a list; "–" for none."""
    return ", ".join(map(str, values)) or "–"


def several(number: int, one: str) -> str:
    """Return a number with its noun: "1 run", "2 runs"."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def moved(estimate: _Interval) -> str:
    """Return ▲ or ▼ where an interval lies above or below 0, else nothing."""
    if estimate.low is None or estimate.high is None:
        return ""
    return "▲" if estimate.low > 0 else "▼" if estimate.high < 0 else ""
