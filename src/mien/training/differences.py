"""Where two recipes differ, key for key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mien.training.recipe import Recipe, to_table

# What two recipes may say differently and still train the same.
_WORDS = {"summary", "notes"}


@dataclass(frozen=True)
class Difference:
    """A key, as `--set` takes it, with the value in each of two recipes; None where not set.

    Of a list of tables each has its number: `stages.1.epochs`.
    """

    key: str
    first: Any
    second: Any


def differences(first: Recipe, second: Recipe) -> list[Difference]:
    """Return where two recipes differ, in their order; the summary and the notes do not count."""
    one, other = _flat(to_table(first)), _flat(to_table(second))
    return [
        Difference(key, one.get(key), other.get(key))
        for key in dict.fromkeys([*one, *other])
        if one.get(key) != other.get(key) and key not in _WORDS
    ]


def _flat(value: object, key: str = "") -> dict[str, Any]:
    """Return a table's values by their whole keys."""
    if isinstance(value, Mapping):
        parts: list[tuple[str, Any]] = [(str(name), each) for name, each in value.items()]
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        parts = [(str(number), each) for number, each in enumerate(value, start=1)]
    else:
        return {key: value}
    flat: dict[str, Any] = {}
    for name, each in parts:
        flat |= _flat(each, f"{key}.{name}" if key else name)
    return flat
