"""A run of features as users meet it: trained, resumed, evaluated, combined; through real files."""

from __future__ import annotations

import csv
import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.classical.classifier import load_classifier
from mien.classical.options import options_of
from mien.classical.run import start, train
from mien.classifiers import open_classifier
from mien.cli.main import main
from mien.data.cache import Dataset
from mien.emotions import EMOTIONS
from mien.errors import ExitStatus, MienError
from mien.evaluation.predict import predict
from mien.evaluation.predictions import Predictions
from mien.training.recipe import load
from mien.training.run import Run

RunMien = Callable[..., Any]


def fitted(dataset: Dataset, folder: Path, name: str, *overrides: str) -> Run:
    run = start(load(name, overrides), dataset, folder)
    train(run, dataset)
    return run


def accuracy_of(run: Run, dataset: Dataset, split: str = "test") -> float:
    predictions = predict(open_classifier(run.folder)[0], dataset, split)
    right = predictions.probabilities.argmax(axis=1) == predictions.labels
    return float(right.mean())


def test_train_evaluate_and_combine_as_a_process(
    run_mien: RunMien, dataset: Dataset, data_folder: Path, tmp_path: Path
) -> None:
    hog, together = tmp_path / "hog", tmp_path / "together"
    done = run_mien("train", "hog-svm", "--data", data_folder, "--out", hog, "--json")
    assert done.returncode == 0, done.stderr
    assert [row["c"] for row in json.loads(done.stdout)["epochs"]] == [1e-5, 1e-4, 1e-3]
    assert "epoch 3/3" in done.stderr
    done = run_mien("evaluate", hog, "--data", data_folder, "--split", "test", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["accuracy"] > 0.6
    predictions = Predictions.load(hog / "predictions" / "test.parquet")
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)
    lbp = fitted(dataset, tmp_path / "lbp", "lbp-svm", "model.options.c=0.001")
    done = run_mien(
        *("ensemble", hog, lbp.folder, "--report", "test"),
        *("--data", data_folder, "--out", together),
    )
    assert done.returncode == 0, done.stderr
    combined = Predictions.load(together / "predictions" / "test.parquet")
    parts = [predictions, predict(load_classifier(lbp.folder), dataset, "test")]
    mean = np.mean([part.probabilities for part in parts], axis=0)
    np.testing.assert_allclose(combined.probabilities, mean, atol=1e-5)
    assert {"recipe.toml", "run.json", "history.csv", "curves.png", "model.safetensors"} <= {
        file.name for file in hog.iterdir()
    }
    # Nothing in the folder has to be unpickled.
    assert not [file for file in hog.rglob("*") if file.suffix in (".pkl", ".pt", ".joblib")]


def test_the_best_value_by_validation_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    run = fitted(dataset, tmp_path / "run", "hog-svm", "model.options.c=[1e-9, 0.001, 1e-8]")
    rows = list(csv.DictReader(run.history_file.open()))
    assert [float(row["c"]) for row in rows] == [1e-9, 0.001, 1e-8]
    best = max(float(row["validation_accuracy"]) for row in rows)
    assert accuracy_of(run, dataset, "validation") == pytest.approx(best, abs=1e-5)
    assert run.is_finished()
    assert run.recipe().training.epochs == 3
    assert "scikit-learn" in run.info()["sessions"][0]["environment"]


@pytest.mark.parametrize(
    ("recipe", "overrides", "least"),
    [
        ("hog-rbf-svm", ["model.options.components=100"], 0.6),
        ("hog-svm", ["loss.class_weights=balanced", "input.size=32"], 0.6),
        ("hog-svm", ["model.options.classifier=knn"], 0.5),
        ("hog-svm", ["model.options.classifier=clusters", "model.options.clusters=30"], 0.4),
    ],
)
def test_recipes_learn(
    dataset: Dataset, tmp_path: Path, recipe: str, overrides: list[str], least: float
) -> None:
    assert accuracy_of(fitted(dataset, tmp_path / "run", recipe, *overrides), dataset) > least


def test_registration_by_the_eyes(dataset: Dataset, tmp_path: Path) -> None:
    recipe = load("classical-svm", ["model.options.c=0.0001"])
    run = start(recipe, dataset, tmp_path / "run")
    with pytest.raises(MienError, match="no landmarks were found"):
        train(run, dataset, finder=lambda picture: None)
    # Eyes that lie as they should change the size only; where none are seen, the usual ones do.
    eyes = np.array([[14.0, 20.0], [34.0, 20.0]])
    train(run, dataset, finder=lambda picture: None if picture[0, 0, 0] % 4 else eyes)
    classifier = load_classifier(run.folder, finder=lambda picture: None)
    np.testing.assert_allclose(classifier.points, eyes)
    rows = dataset.indices("test")
    right = classifier.probabilities(dataset.images[rows]).argmax(axis=1) == dataset.labels[rows]
    assert right.mean() > 0.6


def test_an_unfinished_run_starts_again_and_a_finished_one_stays(
    run_mien: RunMien, dataset: Dataset, data_folder: Path, tmp_path: Path
) -> None:
    whole = fitted(dataset, tmp_path / "whole", "hog-svm")
    cut = start(load("hog-svm"), dataset, tmp_path / "cut", data_folder)

    def stop(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cut, dataset, on_epoch=stop)
    assert not cut.is_finished()
    done = run_mien("train", "--resume", cut.folder)
    assert done.returncode == 0, done.stderr
    assert cut.weights_file.read_bytes() == whole.weights_file.read_bytes()
    assert len(cut.info()["sessions"]) == 2
    train(cut, dataset, on_epoch=stop)  # finished: nothing is done


def test_images_takes_so_many_of_the_training_split(dataset: Dataset, tmp_path: Path) -> None:
    run = fitted(
        dataset,
        tmp_path / "run",
        "hog-svm",
        "model.options.classifier=knn",
        "model.options.neighbors=3",
        "training.images=35",
    )
    classifier = load_classifier(run.folder)
    assert classifier.head.arrays()["knn.features"].shape == (35, 900)
    assert (np.bincount(classifier.head.arrays()["knn.labels"]) == 5).all()


@pytest.mark.parametrize("recipe", ["network-svm", "network-stacked-svm", "network-knn"])
def test_features_of_a_network(
    dataset: Dataset, network_run: Path, tmp_path: Path, recipe: str
) -> None:
    source = tmp_path / "source"
    shutil.copytree(network_run, source)
    run = fitted(
        dataset,
        tmp_path / "run",
        recipe,
        f"model.options.network={source}",
        *(["model.options.neighbors=[5, 15]"] if recipe == "network-knn" else []),
    )
    # The network's input is taken over, and the run depends on nothing outside its folder.
    assert run.recipe().input == Run(source).recipe().input
    before = accuracy_of(run, dataset)
    assert before > 0.3
    shutil.rmtree(source)
    assert accuracy_of(run, dataset) == before
    classifier = load_classifier(run.folder)
    images = classifier.preprocessing(dataset.images[:5])
    assert images.shape == (5, 32, 32)
    width = classifier.features(images).shape[1]
    assert width == (7 if recipe == "network-stacked-svm" else 8)


def test_a_run_whose_network_could_not_be_copied_is_not_begun(
    dataset: Dataset, network_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load("network-svm", [f"model.options.network={network_run}"])

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    (tmp_path / "run").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(OSError, match="No space left"):
            start(recipe, dataset, tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())
    assert start(recipe, dataset, tmp_path / "run").recipe_file.is_file()
    with pytest.raises(MienError, match="--resume"):
        start(recipe, dataset, tmp_path / "run")


def test_landmarks_of_the_caller_s_own_finder(dataset: Dataset, tmp_path: Path) -> None:
    def finder(picture: np.ndarray, /) -> np.ndarray | None:
        # Five points whose geometry depends on the image; sometimes no face is seen.
        if picture[0, 0, 0] % 16 == 0:
            return None
        rows = picture[..., 0].astype(float)
        tilt = np.abs(np.diff(rows, axis=0)).mean() / np.abs(np.diff(rows, axis=1)).mean()
        return np.array([[10, 20], [30, 20], [20, 20 + 5 * tilt], [12, 40], [28, 40]])

    recipe = load("landmarks-svm", ["model.options.components=20"])
    with pytest.raises(MienError, match="need something that finds them"):
        start(recipe, dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run = start(recipe, dataset, tmp_path / "run", finder=finder)
    train(run, dataset, finder=finder)
    classifier = load_classifier(run.folder, finder)
    assert classifier.features(dataset.images[:9]).shape == (9, 20)
    right = classifier.probabilities(dataset.images).argmax(axis=1) == dataset.labels
    assert right.mean() > 0.25  # of seven
    with pytest.raises(MienError, match="find") as told:
        load_classifier(run.folder).probabilities(dataset.images[:1])
    assert "model.options.landmarks" in str(told.value)


def test_what_needs_layers_is_told_that_there_are_none(
    dataset: Dataset, data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fitted(dataset, tmp_path / "run", "hog-svm", "model.options.c=0.001")
    command = ["embed", str(run.folder), "--data", str(data_folder)]
    assert main(command) == ExitStatus.FAILURE
    assert "no network but a classifier on features" in capsys.readouterr().err
    assert not (run.folder / "embeddings").exists()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.options.kernal=rbf"], ["model.options.kernal", "did you mean 'kernel'"]),
        (["model.options.features=[]"], ["model.options.features"]),
        (["model.options.features=['hog', 'hogs']"], ["model.options.features.1", "hogs"]),
        (["model.options.c=-1"], ["model.options.c.0", "greater than 0"]),
        (["model.options.features=['hog', 'hog']"], ["twice"]),
        (["model.options.features=embedding"], ["--set model.options.network="]),
        (["model.options.network=somewhere"], ["only for"]),
        (["input.size=50"], ["50 pixels", "cells of 8"]),
        (["augmentation.flip=true"], ["augmentation.flip", "means nothing"]),
        (["optimizer.learning_rate=0.3"], ["optimizer.learning_rate", "means nothing"]),
        (["training.ema=0.9"], ["training.ema"]),
        (
            ["model.options.classifier=clusters", "loss.class_weights=balanced"],
            ["loss.class_weights", "clusters"],
        ),
        (["model.weights=vggface2"], ["model.weights"]),
        (["model.options="], ["model.options.features: is missing"]),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(MienError) as told:
        options_of(load("hog-svm", overrides))
    for word in words:
        assert word in str(told.value)


def test_what_a_recipe_names_must_be_there(
    dataset: Dataset, network_run: Path, tmp_path: Path
) -> None:
    def refused(name: str, *overrides: str) -> str:
        with pytest.raises(MienError) as told:
            start(load(name, overrides), dataset, tmp_path / "new")
        assert not (tmp_path / "new").exists()
        return str(told.value)

    missing = tmp_path / "missing"
    assert "not a run" in refused("network-svm", f"model.options.network={missing}")
    assert "no file" in refused("landmarks-svm", f"model.options.landmarks={missing}.onnx")
    run = fitted(dataset, tmp_path / "run", "hog-svm", "model.options.c=0.001")
    assert "has no network" in refused("network-svm", f"model.options.network={run.folder}")
    assert "not that of the network" in refused(
        "network-svm", f"model.options.network={network_run}", "input.size=64"
    )
    assert "no split" in refused("hog-svm", "training.train_split=trian")
    assert "training images" in refused("hog-rbf-svm", "model.options.components=5000")
    assert "too many" in refused("network-clusters", f"model.options.network={network_run}")
    assert "training.epochs" in refused("hog-svm", "training.epochs=7")


def test_a_damaged_or_empty_run_is_told(dataset: Dataset, tmp_path: Path) -> None:
    run = start(load("hog-svm"), dataset, tmp_path / "run")
    with pytest.raises(MienError, match="no classifier yet"):
        open_classifier(run.folder)
    run.weights_file.write_bytes(b"nothing")
    with pytest.raises(MienError, match="does not fit its recipe"):
        open_classifier(run.folder)


def test_the_classifier_is_one_as_any_other(dataset: Dataset, tmp_path: Path) -> None:
    run = fitted(dataset, tmp_path / "run", "hog-svm", "input.filter.name=unsharp_mask")
    classifier, weights = open_classifier(run.folder)
    assert weights == run.weights_file
    assert classifier.labels == EMOTIONS
    images = classifier.preprocessing(dataset.images[:6])
    assert not np.array_equal(images, dataset.images[:6])  # the filter works
    probabilities = classifier.probabilities(images)
    assert probabilities.shape == (6, 7)
    assert probabilities.dtype == np.float32
    assert classifier.probabilities(images[:0]).shape == (0, 7)
    # Images are classified alike alone and together.
    alone = np.concatenate([classifier.probabilities(image[None]) for image in images])
    np.testing.assert_allclose(alone, probabilities, atol=1e-6)
