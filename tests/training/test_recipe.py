"""Recipes: those of the package, overrides, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from mien.classical.options import is_classical
from mien.errors import MienError
from mien.models.registry import architectures
from mien.training.recipe import load, names, to_table
from mien.training.run import build_network

HEAD = 'summary = "x"\n[model]\nname = "cnn5"\n'


@pytest.mark.parametrize("name", names())
def test_each_recipe_of_the_package_is_valid_and_survives_a_round_trip(
    name: str, tmp_path: Path
) -> None:
    recipe = load(name)
    assert 0 < len(recipe.summary) < 90
    if not is_classical(recipe):  # tests/classical trains those
        assert recipe.model.name in architectures()
        build_network(recipe)
    path = tmp_path / "again.toml"
    path.write_text(tomli_w.dumps(to_table(recipe)))
    assert load(str(path)) == recipe


def test_cnn5_is_the_paper_s() -> None:
    recipe = load("cnn5")
    assert recipe.optimizer.name == "adam"
    assert recipe.optimizer.learning_rate == 0.001
    assert (recipe.training.batch_size, recipe.training.epochs) == (128, 100)
    assert (recipe.schedule.name, recipe.schedule.factor) == ("plateau", 0.5)
    assert recipe.schedule.patience == 10
    assert recipe.input.filter is not None
    assert recipe.input.filter.name == "unsharp_mask"


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("training.epochs=3", lambda r: r.training.epochs == 3),
        ("model.name=foldnet", lambda r: r.model.name == "foldnet"),
        ('input.filter.name="median"', lambda r: r.input.filter.name == "median"),
        ("augmentation.flip=false", lambda r: r.augmentation.flip is False),
        ("input.filter=", lambda r: r.input.filter is None),
    ],
)
def test_overrides(override: str, read) -> None:  # type: ignore[no-untyped-def]
    assert read(load("cnn5", [override]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "[training]\nepoch = 3\n", ["training.epoch", "epochs"]),
        (HEAD + "[optimiser]\nname = 'sgd'\n", ["optimiser", "optimizer"]),
        (HEAD + "[input.filter]\nname = 'median'\nplaec = 'x'\n", ["input.filter.plaec", "place"]),
        (HEAD + "[input.filter]\nname = 'mediann'\n", ["mediann", "median"]),
        (HEAD + "[input.filter]\nname='unsharp_mask'\noptions={radios=2}\n", ["radios", "radius"]),
        (HEAD + "[model.options]\nsize = 24\n", ["model.options", "size is no option"]),
        (HEAD + "[training]\nepochs = 0\n", ["training.epochs", "0"]),
        (HEAD + "[optimizer]\nname = 'sdg'\n", ["optimizer.name", "sdg", "sgd"]),
        (HEAD + "[training]\nsizes=[{start=0.5,size=48},{start=0.1,size=32}]\n", ["ordered"]),
        (HEAD + "[[stages]]\nname='a'\nepoch=3\n", ["stages.1.epoch", "'epochs'"]),
        (
            HEAD + "[[stages]]\nname='a'\n[stages.optimizer]\nlr=1\n",
            ["stages.1.optimizer.lr", "learning_rate"],
        ),
        ("[model]\nname = 'cnn5'\n", ["summary", "missing"]),
        ("summary = \n", ["TOML"]),
    ],
)
def test_a_wrong_recipe_is_refused_by_key(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(MienError) as caught:
        load(str(path))
    for word in words:
        assert word in str(caught.value)


def test_all_wrong_keys_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(HEAD + "[training]\nepoch = 3\nbatchsize = 2\n")
    with pytest.raises(MienError) as caught:
        load(str(path))
    assert "training.epoch" in str(caught.value)
    assert "training.batchsize" in str(caught.value)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(MienError, match="cnn5"):
        load("cnn-5")


@pytest.mark.parametrize("override", ["training.epochs", "summary.x=3"])
def test_a_malformed_override_is_refused(override: str) -> None:
    with pytest.raises(MienError, match=r"summary|KEY=VALUE"):
        load("cnn5", [override])


def test_a_stage_is_overridden_by_its_number() -> None:
    recipe = load("resnet50", ["stages.2.epochs=5", "stages.1.optimizer.learning_rate=0.5"])
    assert [stage.epochs for stage in recipe.stages] == [100, 5]
    assert recipe.stages[0].optimizer is not None
    assert recipe.stages[0].optimizer.learning_rate == 0.5


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("stages.0.epochs", "'0' is none of 1, 2"),
        ("stages.3.epochs", "'3' is none of 1, 2"),
        ("stages.x.epochs", "'x' is none of 1, 2"),
        ("stages.1", "such as stages.1.epochs"),
    ],
)
def test_a_stage_that_is_not_there_is_told(key: str, words: str) -> None:
    with pytest.raises(MienError, match=words):
        load("resnet50", [f"{key}=5"])


def test_a_recipe_takes_from_its_base_what_it_does_not_say(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(
        'summary = "b"\nnotes = "of the base"\n[model]\nname = "cnn5"\n'
        "[optimizer]\nlearning_rate = 0.5\nmomentum = 0.8\n"
    )
    child = tmp_path / "child.toml"
    child.write_text('base = "base.toml"\nsummary = "c"\n[optimizer]\nlearning_rate = 0.25\n')
    recipe = load(str(child))
    assert (recipe.summary, recipe.notes, recipe.model.name) == ("c", "", "cnn5")
    assert (recipe.optimizer.learning_rate, recipe.optimizer.momentum) == (0.25, 0.8)
    child.write_text('base = "cnn5"\nsummary = "of the package"\n')
    assert load(str(child)).input.filter == load("cnn5").input.filter


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ('"child.toml"', "itself"),
        ('"../{folder}/child.toml"', "itself"),
        ('"no-such"', "no recipe"),
        ("3", "name or path"),
    ],
)
def test_a_bad_base_is_told(tmp_path: Path, base: str, words: str) -> None:
    child = tmp_path / "child.toml"
    base = base.format(folder=tmp_path.name)
    child.write_text(f'base = {base}\nsummary = "c"\n')
    with pytest.raises(MienError, match=words):
        load(str(child))
