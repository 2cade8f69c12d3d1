"""Two recipes are compared key for key, down into filters, options and stages."""

from __future__ import annotations

from mien.training.differences import Difference, differences
from mien.training.recipe import load


def test_equal_recipes_differ_in_nothing_whatever_they_say_of_themselves() -> None:
    recipe = load("foldnet-micro")
    assert differences(recipe, recipe.model_copy(update={"summary": "?", "notes": "!"})) == []


def test_keys_are_whole_and_in_the_recipe_s_order() -> None:
    overrides = ["training.seed=3", "input.filter.name=clahe", "model.options.widths=[8, 8, 16]"]
    first, second = load("foldnet-micro", overrides), load("foldnet-micro")
    found = differences(first, second)
    assert [each.key for each in found] == [
        "model.options.widths",
        "input.filter.name",
        "input.filter.place",
        "training.seed",
    ]
    assert found[1] == Difference("input.filter.name", "clahe", None)
    assert found[3] == Difference("training.seed", 3, 0)
    back = differences(second, first)
    assert {each.key: each.first for each in back} == {each.key: each.second for each in found}


def test_of_stages_the_one_that_differs_is_named() -> None:
    recipe = load("resnet50")
    assert len(recipe.stages) > 1
    changed = recipe.stages[1].model_copy(update={"epochs": 77})
    other = recipe.model_copy(update={"stages": (recipe.stages[0], changed, *recipe.stages[2:])})
    before = recipe.stages[1].epochs
    assert differences(recipe, other) == [Difference("stages.2.epochs", before, 77)]
