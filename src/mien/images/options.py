"""Checks of the filters' options, which come from recipes and from models' metadata."""

from __future__ import annotations

from mien.errors import MienError


def number(name: str, value: float, least: float, most: float) -> float:
    """Return an option as a float, or raise a `MienError` if it is out of its range."""
    if not least <= value <= most:
        raise MienError(f"the filter option {name} must be from {least} to {most:,}, not {value}")
    return float(value)


def whole(name: str, value: float, least: float, most: float) -> int:
    """Return an option as an int, or raise a `MienError` if it is no whole number in its range."""
    if number(name, value, least, most) != int(value):
        raise MienError(f"the filter option {name} must be a whole number, not {value}")
    return int(value)


def odd(name: str, value: float, least: float, most: float) -> int:
    """Return an option as an int, or raise a `MienError` if it is no odd number in its range."""
    if whole(name, value, least, most) % 2 == 0:
        raise MienError(f"the filter option {name} must be odd, not {value}")
    return int(value)
