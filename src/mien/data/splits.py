"""The names that people give to the splits, in tables, folders and files."""

from __future__ import annotations

import re

from mien.data.cache import SPLITS

_SPELLINGS: dict[str, str] = {
    "training": "train",
    "trn": "train",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "dev": "validation",
    "publictest": "validation",
    "testing": "test",
    "tst": "test",
    "privatetest": "test",
}


def split_named(name: str) -> str | None:
    """Return the split that `name` spells ("Training", "val", "Private Test", "FER2013Valid")."""
    word = re.sub(r"[^a-z]", "", name.casefold().replace("fer2013", ""))
    return word if word in SPLITS else _SPELLINGS.get(word)


def split_of_file(stem: str) -> str | None:
    """Return the split that a file's name begins with ("train-00000-of-00002", "PublicTest_7")."""
    return split_named(re.split(r"[-_. 0-9]", stem, maxsplit=1)[0])


def split_order(split: str | None) -> int:
    """Return a key that sorts splits as train, validation, test; what has none comes first."""
    return -1 if split is None else SPLITS.index(split)
