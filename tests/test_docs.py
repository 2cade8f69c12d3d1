"""The reference pages are what the program says; every key of a recipe is explained."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from pydantic import BaseModel

from mien.images.augment import Augmentation
from mien.training import recipe

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
assert _spec is not None
assert _spec.loader is not None
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


@pytest.mark.parametrize(
    ("page", "make"),
    [("cli.md", reference.cli_reference), ("recipes.md", reference.recipe_reference)],
)
def test_the_page_is_up_to_date(page: str, make) -> None:  # type: ignore[no-untyped-def]
    expected = make()
    assert (ROOT / "docs" / page).read_text() == expected, "run: python docs/reference.py"


@pytest.mark.parametrize(
    "section",
    [*recipe.Section.__subclasses__(), Augmentation],
    ids=lambda section: section.__name__,
)
def test_every_key_is_explained(section: type[BaseModel]) -> None:
    documented = reference.attribute_docs(section)
    leaves = {
        name
        for name, field in section.model_fields.items()
        if recipe.section_of(field.annotation) is None
    }
    assert leaves - documented.keys() == set()
