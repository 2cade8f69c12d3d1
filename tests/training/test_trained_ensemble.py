"""Trained runs, and one exported, as one model: combined, evaluated, exported, at work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.cli.main import main
from mien.data.cache import Dataset
from mien.emotions import EMOTIONS
from mien.evaluation.predictions import Predictions
from mien.export.onnx import export_run
from mien.training import loop
from mien.training.recipe import load

Members = list[Path]


@pytest.fixture
def members(tmp_path: Path, dataset: Dataset, recipe_file: Path) -> Members:
    """Two runs, one with a filter and one without, and a third as an exported file."""
    made = []
    for name, overrides in {
        "filtered": [],
        "plain": ["input.filter=", "training.seed=1"],
        "third": ["input.filter=", "training.seed=2"],
    }.items():
        recipe = load(str(recipe_file), [*overrides, "training.epochs=2"])
        made.append(loop.train(loop.start(recipe, dataset, tmp_path / name), dataset))
    exported = tmp_path / "third.onnx"
    export_run(made[2], exported)
    return [made[0].folder, made[1].folder, exported]


def _loaded(file: Path) -> np.ndarray:
    return Predictions.load(file).probabilities


def test_an_ensemble_is_used_like_one_model(
    members: Members, dataset: Dataset, dataset_folder: Path, tmp_path: Path, run_mien: Any
) -> None:
    def run(*arguments: object) -> dict[str, Any]:
        done = run_mien(*arguments, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        values: dict[str, Any] = json.loads(done.stdout)
        return values

    out = tmp_path / "together"
    data = ("--data", dataset_folder)
    made = run("ensemble", *members, *data, "--method", "stacking", "--out", out)
    assert made["members"] == ["filtered", "plain", "third"]
    combined = _loaded(out / "predictions" / "validation.parquet")

    evaluated = run("evaluate", out, *data, "--out", tmp_path / "again")
    assert evaluated["metrics"]["accuracy"] == made["metrics"]["ensemble"]["accuracy"]
    assert evaluated["model_sha256"] == made["model_sha256"]
    again = _loaded(tmp_path / "again" / "validation.parquet")
    np.testing.assert_allclose(again, combined, atol=1e-6)

    exported = run("export", out, "--to", tmp_path / "one.onnx")
    assert exported["largest_difference"] < 1e-4
    run("evaluate", tmp_path / "one.onnx", *data, "--out", tmp_path)
    np.testing.assert_allclose(_loaded(tmp_path / "one-validation.parquet"), combined, atol=1e-4)

    first = dataset.indices("validation")[0]
    Image.fromarray(dataset.images[first]).save(tmp_path / "face.png")
    seen = run("predict", tmp_path / "face.png", "--no-detect", "--model", tmp_path / "one.onnx")
    face = seen[0]["faces"][0]["scores"]  # type: ignore[index]
    found = [face[emotion] for emotion in EMOTIONS]
    np.testing.assert_allclose(found, combined[0], atol=1e-4)


def test_augmentation_at_test_time_is_that_of_each_member(
    members: Members, dataset_folder: Path, tmp_path: Path
) -> None:
    common = ["--data", str(dataset_folder), "--tta", "ten-crop", "--out"]
    out = tmp_path / "e"
    assert main(["ensemble", *map(str, members), "--method", "logits", *common, str(out)]) == 0
    assert main(["evaluate", str(out), *common, str(tmp_path / "again")]) == 0
    np.testing.assert_allclose(
        _loaded(tmp_path / "again" / "validation-ten-crop.parquet"),
        _loaded(out / "predictions" / "validation-ten-crop.parquet"),
        atol=1e-6,
    )


def test_a_member_that_was_trained_again_is_named(
    members: Members,
    dataset_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, out = ["--data", str(dataset_folder)], tmp_path / "e"
    assert main(["ensemble", *map(str, members), *data, "--out", str(out)]) == 0
    shutil.copy(members[0] / "model.safetensors", members[1] / "model.safetensors")
    for verb in (["evaluate", str(out), *data], ["export", str(out), "--to", "one.onnx"]):
        assert main(verb) == 1
        assert "member plain has changed" in capsys.readouterr().err
    (members[1] / "model.safetensors").unlink()
    assert main(["evaluate", str(out), *data]) == 1
    assert "member plain is missing" in capsys.readouterr().err
