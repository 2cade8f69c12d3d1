"""`training.exclude`: what is not trained on, what is refused, and what a run folder keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.training import loop
from mien.training.batches import load_training_split, training_rows
from mien.training.recipe import Recipe, load


def _recipe(recipe_file: Path, text: str, *overrides: str) -> Recipe:
    listed = recipe_file.with_name("listed.csv")
    listed.write_text(text)
    return load(str(recipe_file), [f'training.exclude=["{listed}"]', *overrides])


def test_listed_images_are_not_trained_on(dataset: Dataset, recipe_file: Path) -> None:
    recipe = _recipe(recipe_file, "split,name\ntrain,image3.png\ntrain,image0.png\n")
    kept = [*range(1, 3), *range(4, 64)]
    assert training_rows(dataset, recipe).tolist() == kept
    split = load_training_split(dataset, recipe, torch.device("cpu"))
    assert split.labels.tolist() == dataset.labels[kept].tolist()
    # Fewer images are drawn from what is left.
    fewer = _recipe(recipe_file, "split,name\ntrain,image3.png\n", "training.images=30")
    chosen = training_rows(dataset, fewer).tolist()
    assert len(chosen) == 30
    assert 3 not in chosen


def test_a_run_keeps_its_lists(tmp_path: Path, dataset: Dataset, recipe_file: Path) -> None:
    recipe = _recipe(recipe_file, "split,name\ntrain,image3.png\n")
    run = loop.start(recipe, dataset, tmp_path / "run")
    assert run.recipe() == recipe
    recipe_file.with_name("listed.csv").unlink()
    assert len(training_rows(dataset, run.with_copies(run.recipe()))) == 63
    with pytest.raises(MienError, match="cannot be read"):
        training_rows(dataset, run.recipe())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("split,name\ntrain,image99.png\n", r"listed\.csv:2: the split 'train' has no image"),
        ("split,name\nvalidation,image64.png\n", "names no image of the split 'train'"),
        (
            "split,name\n" + "".join(f"train,image{n}.png\n" for n in range(64)),
            "leaves no image to train on",
        ),
        ("name\nimage3.png\n", "no column split"),
    ],
)
def test_a_list_that_does_not_fit_begins_no_run(
    tmp_path: Path, dataset: Dataset, recipe_file: Path, text: str, complaint: str
) -> None:
    with pytest.raises(MienError, match=complaint):
        loop.start(_recipe(recipe_file, text), dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()
