"""A run's calibration goes into its exported file, and only into the file of its own weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from mien.cli.main import main
from mien.data import cache
from mien.data.cache import Dataset
from mien.evaluation.calibration import FILE, Calibration, scaled
from mien.files import sha256
from mien.recognition.classifier import OnnxClassifier
from mien.training import loop
from mien.training.recipe import load
from mien.training.run import Run, load_classifier

COUNT = 1400


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Dataset]:
    """A run on images whose brightness is the emotion, but for three in ten labels."""
    folder = tmp_path_factory.mktemp("calibrated")
    random = np.random.default_rng(0)
    labels = (np.arange(COUNT) % 7).astype(np.int8)
    images = labels[:, None, None] * 35 + random.integers(0, 20, (COUNT, 16, 16))
    wrong = random.random(COUNT) < 0.3
    labels[wrong] = random.integers(0, 7, wrong.sum())
    dataset = cache.from_arrays(
        images=images.astype(np.uint8),
        labels=labels,
        splits=(np.arange(COUNT) >= COUNT // 2).astype(np.uint8),
        names=np.arange(COUNT).astype(np.str_),
        split_names=("train", "validation"),
    )
    cache.save(dataset, folder / "data")
    overrides = ["input.size=16", "training.epochs=3", "training.batch_size=16"]
    overrides += ["training.sizes=[]", "model.options.widths=[4,4,8]"]
    recipe = load("foldnet", overrides)
    run = loop.train(loop.start(recipe, dataset, folder / "run"), dataset)
    return run, dataset


def mien(*arguments: object) -> int:
    return main([*map(str, arguments)])


def test_the_file_gives_calibrated_probabilities(
    trained: tuple[Run, Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, dataset = trained
    target = tmp_path / "model.onnx"
    assert mien("calibrate", run.folder, "--data", run.folder.parent / "data") == 0
    calibration = Calibration.load(run.folder / FILE)
    capsys.readouterr()
    assert mien("export", run.folder, "--to", target, "--json") == 0
    assert json.loads(capsys.readouterr().out)["temperature"] == calibration.temperature
    found = OnnxClassifier(target).probabilities(dataset.images[:100])
    plain = load_classifier(run.folder).probabilities(dataset.images[:100])
    np.testing.assert_allclose(found, scaled(plain, calibration.temperature), atol=1e-5)
    assert np.abs(found - plain).max() > 1e-3
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    entries = {entry.key: entry.value for entry in onnx.load(target).metadata_props}
    assert json.loads(entries["mien.calibration"]) == calibration.to_dict()


def test_offsets_go_into_the_file_and_into_its_figures(
    trained: tuple[Run, Dataset], tmp_path: Path
) -> None:
    run, dataset = trained
    file, target = tmp_path / "fear.json", tmp_path / "model.onnx"
    offsets = (0.0, 0.0, 20.0, 0.0, 0.0, 0.0, 0.0)  # fear, whatever is seen
    fitted = {"model_sha256": sha256(run.weights_file)}
    Calibration(2.0, fitted, {}, offsets).save(file)
    assert mien("evaluate", run.folder, "--data", run.folder.parent / "data") == 0
    assert mien("export", run.folder, "--to", target, "--calibration", file) == 0
    model = OnnxClassifier(target)
    found = model.probabilities(dataset.images[:100])
    plain = load_classifier(run.folder).probabilities(dataset.images[:100])
    np.testing.assert_allclose(found, scaled(plain, 2.0, offsets), atol=1e-5)
    rows = dataset.indices("validation")
    assert model.provenance["accuracy"]["accuracy"] == (dataset.labels[rows] == 2).mean()


def test_an_ensemble_is_calibrated_as_a_whole(trained: tuple[Run, Dataset], tmp_path: Path) -> None:
    run, dataset = trained
    plain = load_classifier(run.folder).probabilities(dataset.images[:100])
    folder, target = tmp_path / "ensemble", tmp_path / "ensemble.onnx"
    Calibration(3.0, {"model_sha256": sha256(run.weights_file)}, {}).save(run.folder / FILE)
    data = run.folder.parent / "data"
    assert mien("ensemble", run.folder, "--method", "mean", "--out", folder, "--data", data) == 0
    assert mien("export", folder, "--to", target) == 0
    # The member's own calibration is no part of what was combined.
    found = OnnxClassifier(target).probabilities(dataset.images[:100])
    np.testing.assert_allclose(found, plain, atol=1e-5)
    digest = sha256(folder / "ensemble.json")
    Calibration(2.0, {"model_sha256": digest}, {}).save(folder / FILE)
    assert mien("export", folder, "--to", target) == 0
    found = OnnxClassifier(target).probabilities(dataset.images[:100])
    np.testing.assert_allclose(found, scaled(plain, 2.0), atol=1e-5)


def test_the_calibration_of_other_weights_is_refused(
    trained: tuple[Run, Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = trained
    file, target = tmp_path / "other.json", tmp_path / "model.onnx"
    Calibration(2.0, {"model_sha256": "0" * 64}, {}).save(file)
    assert mien("export", run.folder, "--to", target, "--calibration", file) == 1
    complaint = capsys.readouterr().err
    assert "was fitted to other weights" in complaint
    assert "mien calibrate" in complaint
    missing = tmp_path / "none.json"
    assert mien("export", run.folder, "--to", target, "--calibration", missing) == 1
    assert "there is no calibration" in capsys.readouterr().err
    assert not target.exists()
