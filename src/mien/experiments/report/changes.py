"""Where a recipe as run differs from the package's recipe of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mien.training.recipe import Recipe, names, to_table
from mien.training.recipe import load as load_recipe

# What tells a run from another of the same experiment, or is only said of it.
_NO_MATTER = {"summary", "notes", "training.seed"}


@dataclass(frozen=True)
class Change:
    """A key whose value as run is not the package's; both as text, "–" where it is not set."""

    key: str
    package: str
    run: str


def changes(name: str, recipe: Recipe) -> tuple[Change, ...]:
    """Return the changes; none where the package has no recipe of that name.

    The seed, the summary and the notes do not count.
    """
    if name not in names():
        return ()
    return differences(load_recipe(name), recipe)


def differences(first: Recipe, second: Recipe) -> tuple[Change, ...]:
    """Return the keys in which two recipes differ, in their order."""
    one, other = _flat(to_table(first)), _flat(to_table(second))
    return tuple(
        Change(key, one.get(key, "–"), other.get(key, "–"))
        for key in dict.fromkeys([*one, *other])
        if one.get(key) != other.get(key) and key not in _NO_MATTER
    )


def _flat(value: object, key: str = "") -> dict[str, str]:
    """Return a table's values as text by dotted keys; a list of tables counts its rows."""
    if isinstance(value, Mapping):
        parts: list[tuple[str, Any]] = [(str(name), each) for name, each in value.items()]
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        parts = [(str(number), each) for number, each in enumerate(value, start=1)]
    else:
        return {key: str(value)}
    flat: dict[str, str] = {}
    for name, each in parts:
        flat |= _flat(each, f"{key}.{name}" if key else name)
    return flat
