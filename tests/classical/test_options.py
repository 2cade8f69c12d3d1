"""The page on features explains every option and every recipe."""

from __future__ import annotations

from pathlib import Path

from mien.classical.options import Features, is_classical, options_of
from mien.training.recipe import load, names

PAGE = (Path(__file__).parents[2] / "docs" / "classical.md").read_text(encoding="utf-8")


def test_every_option_and_recipe_is_on_the_page() -> None:
    recipes = [name for name in names() if is_classical(load(name))]
    assert "hog-svm" in recipes
    missing = [key for key in [*Features.model_fields, *recipes] if f"`{key}`" not in PAGE]
    assert missing == []


def test_every_recipe_is_valid_once_what_it_needs_is_named() -> None:
    for name in names():
        recipe = load(name)
        if not is_classical(recipe):
            continue
        needs = ["model.options.network=somewhere"] if name.startswith("network") else []
        options = options_of(load(name, needs))
        # Values from small to large: of equals, the more regularized one is kept.
        key, values = options.grid
        assert list(values) == sorted(set(values)), key
