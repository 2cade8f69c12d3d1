"""Where a recipe as run differs from the package's recipe of the same name."""

from __future__ import annotations

from dataclasses import dataclass

from mien.training.differences import differences
from mien.training.recipe import Recipe, names
from mien.training.recipe import load as load_recipe

_SEED = "training.seed"
"""What tells a run from another of the same experiment."""


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
    return compared(load_recipe(name), recipe)


def compared(first: Recipe, second: Recipe) -> tuple[Change, ...]:
    """Return the keys in which two recipes differ, but for the seed, in their order."""
    return tuple(
        Change(each.key, _said(each.first), _said(each.second))
        for each in differences(first, second)
        if each.key != _SEED
    )


def _said(value: object) -> str:
    return "–" if value is None else str(value)
