"""The exported file computes what the network computes and carries what belongs to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from mien.data import cache
from mien.emotions import EMOTIONS
from mien.evaluation.predictions import Predictions
from mien.export.onnx import export_run, measured
from mien.files import sha256
from mien.images.preprocessing import Preprocessing
from mien.training import loop
from mien.training.recipe import load
from mien.training.run import Run, load_classifier


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("export")
    random = np.random.default_rng(0)
    dataset = cache.from_arrays(
        images=random.integers(0, 256, (32, 16, 16)).astype(np.uint8),
        labels=(np.arange(32) % 7).astype(np.int8),
        splits=(np.arange(32) % 2).astype(np.uint8),
        names=np.array([str(i) for i in range(32)]),
        split_names=("train", "validation"),
    )
    overrides = ["input.size=16", "training.epochs=1", "training.batch_size=8"]
    overrides += ["training.sizes=[]", "model.options.widths=[4,4,8]"]
    overrides += ['input.filter={name="unsharp_mask",place="after_resize"}']
    recipe = load("foldnet", overrides)
    return loop.train(loop.start(recipe, dataset, folder / "run"), dataset)


def test_the_file_equals_the_network_at_any_batch_size(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    assert export_run(run, target) <= 1e-4
    session = onnxruntime.InferenceSession(str(target))
    classifier = load_classifier(run.folder)
    for count in (1, 3, 64):
        images = np.random.default_rng(count).integers(0, 256, (count, 16, 16), dtype=np.uint8)
        found = session.run(None, {"images": images})[0]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, classifier.probabilities(images), atol=1e-4)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_the_metadata_hold_labels_preprocessing_and_provenance(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    export_run(run, target, {"accuracy": {"accuracy": 0.5}})
    model = onnx.load(target)
    metadata: dict[str, Any] = {p.key: json.loads(p.value) for p in model.metadata_props}
    assert tuple(metadata["mien.labels"]) == EMOTIONS
    preprocessing = Preprocessing.from_dict(metadata["mien.preprocessing"])
    assert preprocessing == run.recipe().input.preprocessing()
    assert metadata["mien.provenance"]["dataset"] == run.info()["data"]["checksum"]
    assert metadata["mien.provenance"]["accuracy"] == {"accuracy": 0.5}
    assert all(not t.external_data for t in model.graph.initializer)


def test_the_figures_of_the_run_s_own_predictions_go_along(run: Run, tmp_path: Path) -> None:
    assert measured(run, None) == {}
    names = np.array([str(i) for i in range(1, 32, 2)])
    labels = (np.arange(1, 32, 2) % 7).astype(np.int8)
    probabilities = np.eye(7, dtype=np.float32)[labels]
    probabilities[0] = np.roll(probabilities[0], 1)
    file = run.folder / "predictions" / "validation.parquet"
    Predictions(names, labels, probabilities, {"model_sha256": "0" * 64}).save(file)
    assert measured(run, None) == {}  # of other weights
    info = {"model_sha256": sha256(run.weights_file)}
    Predictions(names, labels, probabilities, info).save(file)
    accuracy = measured(run, None)["accuracy"]
    assert accuracy["images"] == 16
    assert accuracy["accuracy"] == 15 / 16
    file.unlink()


def test_the_command_exports(run: Run, tmp_path: Path, run_mien: Any) -> None:
    target = tmp_path / "model.onnx"
    result = run_mien("export", run.folder, "--to", target, "--json")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["bytes"] == target.stat().st_size
    assert "torchvision" not in result.stderr


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, run_mien: Any) -> None:
    result = run_mien("export", tmp_path, "--to", tmp_path / "x.onnx")
    assert result.returncode == 1
    assert "is not a run" in result.stderr
    assert "Traceback" not in result.stderr
