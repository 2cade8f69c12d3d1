"""`mien calibrate` on predictions files and folders of runs without their weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.cli.main import main
from mien.data.cache import from_arrays, save
from mien.evaluation.calibration import Calibration, best_temperature
from mien.evaluation.predictions import Predictions
from mien.evaluation.stacking import softmax

COUNT = 400


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    random = np.random.default_rng(0)
    logits = random.normal(size=(COUNT, 7)) * 3
    chances = softmax(logits / 2).cumsum(axis=1)
    labels = (random.random((COUNT, 1)) > chances).sum(axis=1).clip(0, 6).astype(np.int8)
    names = np.arange(COUNT).astype(np.str_)
    info = {"split": "validation", "tta": "none", "data": "d", "model_sha256": "w"}
    return Predictions(names, labels, softmax(logits).astype(np.float32), info)


def test_a_run_gets_its_calibration(
    predictions: Predictions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions.save(tmp_path / "run" / "predictions" / "validation.parquet")
    assert main(["calibrate", str(tmp_path / "run"), "--accuracy", "0.5"]) == 0
    shown = capsys.readouterr().out
    temperature = best_temperature(predictions.labels, predictions.probabilities)
    assert f"temperature: {temperature:.4f}" in shown
    assert "expected calibration error" in shown
    found = Calibration.load(tmp_path / "run" / "calibration.json")
    assert found.temperature == temperature
    assert found.fitted["model_sha256"] == "w"
    assert (tmp_path / "run" / "calibration.png").is_file()


def test_a_file_is_only_measured(
    predictions: Predictions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions.save(tmp_path / "some.parquet")
    arguments = ["calibrate", str(tmp_path / "some.parquet"), "--accuracy", "0.5", "--json"]
    assert main(arguments) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["calibration"] is None
    assert values["chosen"]["accuracy"] >= 0.5
    assert values["fitted"]["images"] == COUNT
    assert values["measured"]["after"]["log_loss"] < values["measured"]["before"]["log_loss"]
    assert [path.name for path in tmp_path.iterdir()] == ["some.parquet"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert Calibration.load(tmp_path / "out" / "calibration.json").fitted["split"] == "validation"


def test_labels_come_from_the_data_where_there_are_none(
    predictions: Predictions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = replace(predictions, labels=np.full(COUNT, -1, np.int8))
    file = str(tmp_path / "blind.parquet")
    unknown.save(file)
    assert main(["calibrate", file]) == 1
    assert "0 of these images have one" in capsys.readouterr().err
    dataset = from_arrays(
        images=np.zeros((COUNT, 8, 8), np.uint8),
        labels=predictions.labels,
        splits=np.zeros(COUNT, np.uint8),
        names=predictions.names,
        split_names=("validation",),
    )
    save(dataset, tmp_path / "data")
    assert main(["calibrate", file, "--data", str(tmp_path / "data"), "--json"]) == 0
    temperature = json.loads(capsys.readouterr().out)["temperature"]
    assert temperature == best_temperature(predictions.labels, predictions.probabilities)


def test_what_cannot_be_calibrated_is_told(
    predictions: Predictions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def complaint(*arguments: object) -> str:
        assert main(["calibrate", *map(str, arguments)]) == 1
        return capsys.readouterr().err

    assert "neither a run nor a model" in complaint(tmp_path / "nothing")
    file = tmp_path / "validation.parquet"
    predictions.save(file)
    assert "the split 'validation', not 'test'" in complaint(file, "--split", "test")
    (tmp_path / "empty").mkdir()
    assert "--data DIR" in complaint(tmp_path / "empty")
    anonymous = replace(predictions, info={"split": "validation"})
    anonymous.save(tmp_path / "run" / "predictions" / "validation.parquet")
    assert "do not say which weights made them" in complaint(tmp_path / "run")


def test_the_training_split_is_warned_of(
    predictions: Predictions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(predictions, info={"split": "train"}).save(tmp_path / "train.parquet")
    assert main(["calibrate", str(tmp_path / "train.parquet"), "--quiet"]) == 0
    assert "was trained on" in capsys.readouterr().err
