"""A network that begins with the weights of another run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.files import sha256
from mien.training import loop
from mien.training.device import Device
from mien.training.recipe import load
from mien.training.run import Run

CPU = Device(accelerator="cpu")


def test_a_run_goes_on_from_another_run_s_best_weights(
    tmp_path: Path, dataset: Dataset, recipe_file: Path, first: Run
) -> None:
    # A step so small that it changes nothing that could be seen shows where the run began.
    still = [
        "training.epochs=1",
        "optimizer.name=sgd",
        "optimizer.learning_rate=1e-12",
        "optimizer.weight_decay=0",
    ]
    recipe = load(str(recipe_file), [f"model.weights={first.folder}", *still])
    run = loop.train(loop.start(recipe, dataset, tmp_path / "second"), dataset, CPU)
    before, after = dict(first.network().named_parameters()), run.network().named_parameters()
    for name, value in after:
        torch.testing.assert_close(value, before[name], rtol=0, atol=1e-6)
    assert run.info()["weights"] == {"run": "first", "sha256": sha256(first.weights_file)}


def test_another_network_is_refused_before_a_folder_is_made(
    tmp_path: Path, dataset: Dataset, recipe_file: Path, first: Run
) -> None:
    recipe = load(str(recipe_file), [f"model.weights={first.folder}", "model.name=mobilenet"])
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"options": {}})})
    with pytest.raises(MienError, match=r"do not fit the network 'mobilenet'") as caught:
        loop.start(recipe, dataset, tmp_path / "second")
    assert str(first.recipe_file) in str(caught.value.hint)
    assert not (tmp_path / "second").exists()


def test_a_run_without_weights_is_refused(
    tmp_path: Path, dataset: Dataset, recipe_file: Path
) -> None:
    begun = loop.start(load(str(recipe_file), []), dataset, tmp_path / "begun")
    recipe = load(str(recipe_file), [f"model.weights={begun.folder}"])
    with pytest.raises(MienError, match="has no weights yet"):
        loop.start(recipe, dataset, tmp_path / "second")


def test_a_source_that_has_changed_before_the_first_epoch_is_refused(
    tmp_path: Path, dataset: Dataset, recipe_file: Path, first: Run
) -> None:
    recipe = load(str(recipe_file), [f"model.weights={first.folder}", "training.epochs=1"])
    begun = loop.start(recipe, dataset, tmp_path / "second")
    first.save_weights({name: value + 1 for name, value in first.weights().items()})
    with pytest.raises(MienError, match="has changed since this run was started"):
        loop.train(begun, dataset, CPU)
