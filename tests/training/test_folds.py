"""Cross-validation: how images are dealt, what the runs never see, and going on after a stop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.cli.main import main
from mien.data.cache import Dataset
from mien.data.exclusion import read_exclusions
from mien.errors import MienError
from mien.evaluation.predict import answer
from mien.evaluation.predictions import Predictions
from mien.training.batches import training_rows
from mien.training.device import Device
from mien.training.folds import Folds, begin, deal, train_folds
from mien.training.recipe import load
from mien.training.run import load_classifier

CPU = Device(accelerator="cpu")
SHORT = ["training.epochs=2"]


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_folds_have_their_share_of_every_class_and_keep_groups(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, 300).astype(np.int8)
    # Most groups are single images, a tenth are pairs of one class or of two.
    groups = np.arange(300)
    groups[270:] = random.permutation(270)[:30]
    folds = deal(labels, groups, count)
    assert set(folds.tolist()) == set(range(count))
    assert (folds[270:] == folds[groups[270:]]).all()
    for label in range(7):
        sizes = np.bincount(folds[labels == label], minlength=count)
        assert np.ptp(sizes) <= 3
    assert (deal(labels, groups, count) == folds).all()


def test_each_run_is_trained_without_what_it_predicts(
    tmp_path: Path, dataset: Dataset, recipe_file: Path
) -> None:
    recipe = load(str(recipe_file), SHORT)
    epochs: list[tuple[int, float]] = []
    folds = begin(recipe, dataset, tmp_path / "folds", 3)
    predictions = train_folds(
        folds, dataset, CPU, on_epoch=lambda number, row: epochs.append((number, row["epoch"]))
    )
    assert epochs == [(number, epoch) for number in (1, 2, 3) for epoch in (1, 2)]
    train = dataset.indices("train")
    assert predictions.names.tolist() == dataset.names[train].tolist()
    assert predictions.labels.tolist() == dataset.labels[train].tolist()
    seen = []
    for number in (1, 2, 3):
        run = folds.run(number)
        held_out = {each.name for each in read_exclusions([folds.list_file(number)])}
        trained = dataset.names[training_rows(dataset, run.with_copies(run.recipe()))].tolist()
        assert held_out.isdisjoint(trained)
        assert held_out.union(trained) == set(predictions.names.tolist())
        seen += held_out
        own = np.isin(predictions.names, list(held_out))
        said = answer(load_classifier(run.folder), dataset.images[train[own]])
        assert np.allclose(predictions.probabilities[own], said, atol=1e-6)
    assert sorted(seen) == sorted(predictions.names.tolist())
    kept = Predictions.load(folds.predictions_file)
    assert kept.info["folds"] == 3
    assert kept.info["split"] == "train"


def test_more_folds_than_different_images_are_refused(
    tmp_path: Path, dataset: Dataset, recipe_file: Path
) -> None:
    images = np.array(dataset.images)
    images[dataset.indices("train")[2:]] = images[dataset.indices("train")[1]]
    with pytest.raises(MienError, match="do not fill 3 folds"):
        begin(load(str(recipe_file)), replace(dataset, images=images), tmp_path / "folds", 3)
    assert not (tmp_path / "folds").exists()


def test_equal_images_are_in_one_fold(tmp_path: Path, dataset: Dataset, recipe_file: Path) -> None:
    images = np.array(dataset.images)
    images[1:40:2] = images[0:40:2, :, ::-1]
    folds = begin(load(str(recipe_file), SHORT), replace(dataset, images=images), tmp_path / "f", 4)
    fold_of = {
        each.name: number
        for number in (1, 2, 3, 4)
        for each in read_exclusions([folds.list_file(number)])
    }
    assert len(set(fold_of.values())) == 4
    for place in range(0, 40, 2):
        first, second = dataset.names[place : place + 2].tolist()
        assert fold_of[first] == fold_of[second]


def test_a_cross_validation_goes_on_with_what_is_missing(
    tmp_path: Path, dataset: Dataset, recipe_file: Path
) -> None:
    listed = tmp_path / "listed.csv"
    listed.write_text("split,name\ntrain,image5.png\n")
    recipe = load(str(recipe_file), [*SHORT, f'training.exclude=["{listed}"]'])

    def stop(number: int, row: object) -> None:
        if number == 2:
            raise KeyboardInterrupt

    folds = begin(recipe, dataset, tmp_path / "folds", 2)
    with pytest.raises(KeyboardInterrupt):
        train_folds(folds, dataset, CPU, on_epoch=stop)
    listed.unlink()
    (tmp_path / "folds").rename(tmp_path / "moved")
    again = begin(recipe, dataset, tmp_path / "moved", 2)
    epochs: list[tuple[int, float]] = []
    predictions = train_folds(
        again, dataset, CPU, on_epoch=lambda number, row: epochs.append((number, row["epoch"]))
    )
    assert epochs == [(2, 2)]
    # What the recipe excludes is predicted, but by no run trained on.
    assert "image5.png" in predictions.names
    for number in (1, 2):
        run = again.run(number)
        trained = training_rows(dataset, run.with_copies(run.recipe()))
        assert "image5.png" not in dataset.names[trained]


def test_another_cross_validation_is_refused(
    tmp_path: Path, dataset: Dataset, recipe_file: Path
) -> None:
    recipe = load(str(recipe_file), SHORT)
    begin(recipe, dataset, tmp_path / "folds", 2)
    with pytest.raises(MienError, match="2 folds, not 3"):
        begin(recipe, dataset, tmp_path / "folds", 3)
    with pytest.raises(MienError, match=r"training\.epochs 2, not 5"):
        begin(load(str(recipe_file), ["training.epochs=5"]), dataset, tmp_path / "folds", 2)
    with pytest.raises(MienError, match="another data set"):
        begin(recipe, replace(dataset, checksum="0"), tmp_path / "folds", 2)
    with pytest.raises(MienError, match="is no cross-validation"):
        Folds(tmp_path)


def test_the_command(
    tmp_path: Path, dataset_folder: Path, recipe_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["folds", str(recipe_file), "--data", str(dataset_folder), "--folds", "2"]
    command += ["--out", str(tmp_path / "folds"), "--set", SHORT[0], "--json"]
    assert main(command) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["metrics"]["count"] == 64
    assert "fold 2/2  epoch 2/2" in printed.err
    assert Path(result["predictions"]).is_file()


def test_a_recipe_that_may_know_the_labels_already_is_warned_of(
    tmp_path: Path, dataset_folder: Path, recipe_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "folds"
    command = ["folds", str(recipe_file), "--data", str(dataset_folder), "--out", str(out)]
    # A folder of a run, whose weights are missing here.
    assert main([*command, "--set", f"model.weights={tmp_path}"]) == 1
    assert "so did the folds' runs" in capsys.readouterr().err
    assert not out.exists()
