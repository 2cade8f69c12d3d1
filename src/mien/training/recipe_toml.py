"""Reading a recipe's TOML: by name or path, laid over its base, with keys overridden."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from mien.errors import MienError, nearest


def names() -> list[str]:
    """Return the names of the recipes in the package."""
    folder = resources.files("mien") / "recipes"
    return sorted(
        p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")
    )


def read(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a recipe's TOML, laid over that of its base.

    Args:
        name: a name in `names()`, or the path of a TOML file.
        above: the recipes that are based on it.

    Raises:
        MienError: there is no such recipe, it is no TOML, or it is based on itself.
    """
    try:
        table = tomllib.loads(_text(name))
    except tomllib.TOMLDecodeError as error:
        raise MienError(f"the recipe {name} is not valid TOML: {error}") from error
    base = table.pop("base", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise MienError(f"the recipe {name}: base is the name or path of a recipe, not {base!r}")
    beside = Path(name).parent / base
    if Path(name).suffix == ".toml" and beside.is_file():
        base = str(beside)
    if _place(base) in map(_place, (name, *above)):
        raise MienError(f"the recipe {name} is in the end based on itself: {base}")
    inherited = read(base, (name, *above))
    # What is said of the base is not said of this one.
    inherited.pop("summary", None)
    inherited.pop("notes", None)
    return _merged(inherited, table)


def _place(name: str) -> str:
    """Return what tells whether two names stand for one recipe, however a path is spelled."""
    return str(Path(name).resolve()) if Path(name).suffix == ".toml" else name


def _text(name: str) -> str:
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise MienError(f"there is no recipe {name}")
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise MienError(f"the recipe {name} is not UTF-8 text: {error}") from error
    if name not in names():
        raise MienError(f"there is no recipe {name!r}", hint=nearest(name, names()))
    return (resources.files("mien") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two tables as one; where both have a value, `above` has the say."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def override(table: dict[str, Any], text: str) -> None:
    """Change a recipe's table by a text such as "training.epochs=3"; see `recipe.load`.

    Raises:
        MienError: the text is of another form, or names a stage that is not there.
    """
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise MienError(f"{text!r} is not of the form KEY=VALUE, such as training.epochs=3")
    *parents, last = key.strip().split(".")
    inside: Any = table
    for parent in parents:
        if isinstance(inside, list):
            numbers = [str(number) for number in range(1, len(inside) + 1)]
            if parent not in numbers:
                raise MienError(f"--set {text}: {parent!r} is none of {', '.join(numbers)}")
            inside = inside[int(parent) - 1]
        else:
            inside = inside.setdefault(parent, {})
        if not isinstance(inside, dict | list):
            raise MienError(f"--set {text}: {parent!r} is not a table of the recipe")
    if isinstance(inside, list):
        which = ".".join([*parents, "1.epochs"])
        raise MienError(f"--set {text}: say which one and what of it, such as {which}")
    table = inside
    if not value.strip():
        table.pop(last, None)
        return
    try:
        table[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = value
