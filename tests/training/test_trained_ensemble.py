"""Trained networks as one model: combined, evaluated, exported, at work."""

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
from mien.training.run import Run


@pytest.fixture
def members(tmp_path: Path, dataset: Dataset, recipe_file: Path) -> list[Run]:
    """Two runs, one with a filter and one without."""
    made = []
    for name, overrides in {"filtered": [], "plain": ["input.filter=", "training.seed=1"]}.items():
        recipe = load(str(recipe_file), [*overrides, "training.epochs=2"])
        made.append(loop.train(loop.start(recipe, dataset, tmp_path / name), dataset))
    return made


def _loaded(file: Path) -> np.ndarray:
    return Predictions.load(file).probabilities


def test_an_ensemble_is_used_like_one_model(
    members: list[Run],
    dataset: Dataset,
    dataset_folder: Path,
    tmp_path: Path,
    run_mien: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: object) -> Any:
        done = run_mien(*arguments, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def evaluate(model: Path, out: Path) -> Any:
        where = ["--data", str(dataset_folder), "--out", str(out)]
        assert main(["evaluate", str(model), *where, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    # One member is a run, the other an exported file.
    folder, plain, one = tmp_path / "together", tmp_path / "plain.onnx", tmp_path / "one.onnx"
    export_run(members[1], plain)
    given = (members[0].folder, plain, "--data", dataset_folder, "--method", "stacking")
    made = run("ensemble", *given, "--out", folder)
    assert made["members"] == ["filtered", "plain"]
    combined = _loaded(folder / "predictions" / "validation.parquet")

    evaluated = evaluate(folder, tmp_path / "again")
    assert evaluated["metrics"]["accuracy"] == made["metrics"]["ensemble"]["accuracy"]
    assert evaluated["model_sha256"] == made["model_sha256"]
    again = _loaded(tmp_path / "again" / "validation.parquet")
    np.testing.assert_allclose(again, combined, atol=1e-6)

    assert run("export", folder, "--to", one)["largest_difference"] < 1e-4
    evaluate(one, tmp_path)
    np.testing.assert_allclose(_loaded(tmp_path / "one-validation.parquet"), combined, atol=1e-4)

    first = dataset.indices("validation")[0]
    Image.fromarray(dataset.images[first]).save(tmp_path / "face.png")
    for model in (one, folder):
        seen = run("predict", tmp_path / "face.png", "--no-detect", "--model", model)
        scores = seen[0]["faces"][0]["scores"]
        found = [scores[emotion] for emotion in EMOTIONS]
        np.testing.assert_allclose(found, combined[0], atol=1e-4)


def test_augmentation_at_test_time_is_that_of_each_member(
    members: list[Run], dataset_folder: Path, tmp_path: Path
) -> None:
    folders = [str(member.folder) for member in members]
    common = ["--data", str(dataset_folder), "--tta", "ten-crop", "--out"]
    out = tmp_path / "e"
    assert main(["ensemble", *folders, "--method", "logits", *common, str(out)]) == 0
    assert main(["evaluate", str(out), *common, str(tmp_path / "again")]) == 0
    np.testing.assert_allclose(
        _loaded(tmp_path / "again" / "validation-ten-crop.parquet"),
        _loaded(out / "predictions" / "validation-ten-crop.parquet"),
        atol=1e-6,
    )


def test_a_member_that_was_trained_again_is_named(
    members: list[Run],
    dataset_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = [str(member.folder) for member in members]
    data, out = ["--data", str(dataset_folder)], tmp_path / "e"
    assert main(["ensemble", *folders, *data, "--out", str(out)]) == 0
    shutil.copy(members[0].weights_file, members[1].weights_file)
    for verb in (["evaluate", str(out), *data], ["export", str(out), "--to", "one.onnx"]):
        assert main(verb) == 1
        assert "member plain has changed" in capsys.readouterr().err
    members[1].weights_file.unlink()
    assert main(["evaluate", str(out), *data]) == 1
    assert "member plain is missing" in capsys.readouterr().err
