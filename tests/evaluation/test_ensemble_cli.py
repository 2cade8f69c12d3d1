"""`mien ensemble` on small files and run folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from mien.cli.main import main
from mien.evaluation.ensemble import Combiner
from mien.evaluation.predictions import Predictions


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs with predictions for validation, and for a test split without labels."""
    random = np.random.default_rng(4)
    folders = [tmp_path / "weak", tmp_path / "strong"]
    for split, count in (("validation", 60), ("test", 20)):
        truth = random.integers(0, 7, count)
        names = np.array([f"{split}/{index}" for index in range(count)])
        labels = truth if split == "validation" else np.full(count, -1)
        for folder, strength in zip(folders, (0.5, 2.0), strict=True):
            powers = np.exp(strength * np.eye(7)[truth] + random.normal(size=(count, 7)))
            probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
            made = Predictions(names, labels.astype(np.int8), probabilities, {"split": split})
            made.save(folder / "predictions" / f"{split}.parquet")
    return folders


def test_a_mean_as_a_process(
    run_mien: Callable[..., CompletedProcess[str]], runs: list[Path], tmp_path: Path
) -> None:
    done = run_mien("ensemble", *runs, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "some members are predictions only" in done.stderr
    for expected in ("validation: 60 images, 2 members", "against strong", "McNemar's p value"):
        assert expected in done.stdout
    combined = Predictions.load(tmp_path / "ensemble-mean" / "predictions" / "validation.parquet")
    members = [Predictions.load(run / "predictions" / "validation.parquet") for run in runs]
    mean = (members[0].probabilities + members[1].probabilities) / 2
    np.testing.assert_allclose(combined.probabilities, mean, atol=1e-6)
    assert combined.info["ensemble"]["titles"] == ["weak", "strong"]


def test_fitted_to_what_is_reported(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "ensemble",
        *map(str, runs),
        "--method",
        "weights",
        "--out",
        str(tmp_path / "ensemble"),
    ]
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert "fitted to validation, the split that is reported" in captured.err
    values = json.loads(captured.out)
    assert values["members"] == ["weak", "strong"]
    assert values["best_member"] == "strong"
    assert values["weights"][1] > values["weights"][0]
    assert values["gain"].keys() == {"ensemble", "cross_validated"}
    figures = values["metrics"]
    gain = figures["cross_validated"]["accuracy"] - figures["members"][1]["accuracy"]
    assert values["gain"]["cross_validated"]["gain"] == pytest.approx(gain)
    assert values["disagreement"][0][1] == values["disagreement"][1][0] > 0
    assert main(arguments) == 0
    assert "ensemble (weights, cross-validated)" in capsys.readouterr().out


def test_an_unlabeled_split_gets_predictions_only(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "combined"
    arguments = ["--method", "greedy", "--report", "test", "--out", str(out), "--json"]
    assert main(["ensemble", *map(str, runs), *arguments]) == 0
    captured = capsys.readouterr()
    assert "warning" not in captured.err
    assert json.loads(captured.out)["metrics"] is None
    combined = Predictions.load(out / "predictions" / "test.parquet")
    assert not combined.labeled.any()
    # The state in the file predicts as the ensemble did.
    members = [Predictions.load(run / "predictions" / "test.parquet") for run in runs]
    again = Combiner.from_dict(combined.info["ensemble"])(members)
    np.testing.assert_array_equal(again.probabilities, combined.probabilities)


def test_files_of_two_splits(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(run / "predictions" / "{split}.parquet") for run in runs]
    options = ["--method", "weights", "--report", "test", "--out", str(tmp_path / "ensemble")]
    assert main(["ensemble", *files, *options]) == 0
    captured = capsys.readouterr()
    assert "test: 20 images, 2 members" in captured.out
    assert "nothing can be measured" in captured.err
    assert main(["ensemble", files[0].format(split="test"), *options]) == 1
    assert "write {split} where" in capsys.readouterr().err


def _with_weights(run: Path, content: bytes = b"weights") -> None:
    """Make a run's predictions those of weights; what these are does not matter here."""
    (run / "model.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    for file in (run / "predictions").iterdir():
        made = Predictions.load(file)
        replace(made, info={**made.info, "model_sha256": digest}).save(file)


def test_models_make_a_model(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in runs:
        _with_weights(run)
    out = tmp_path / "deep" / "both"
    arguments = ["ensemble", *map(str, runs), "--method", "stacking", "--out", str(out)]
    assert main([*arguments, "--report", "test", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["folder"] == str(out)
    state = json.loads((out / "ensemble.json").read_text())
    assert [each["source"] for each in state["members"]] == ["../../weak", "../../strong"]
    assert state["members"][0]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert state["fitted"]["split"] == "validation"
    assert values["model"] == "both"
    digest = hashlib.sha256((out / "ensemble.json").read_bytes()).hexdigest()
    assert values["model_sha256"] == digest
    # Another split of the same ensemble goes beside, another ensemble does not.
    assert main(arguments) == 0
    assert "model: " in capsys.readouterr().out
    assert {file.name for file in (out / "predictions").iterdir()} >= {
        "test.parquet",
        "validation.parquet",
    }
    assert main(["ensemble", *map(str, runs), "--out", str(out)]) == 1
    assert "holds another ensemble" in capsys.readouterr().err


def test_members_of_no_weight_are_left_out(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in runs:
        _with_weights(run)
    # What is never right adds nothing to what is right mostly.
    strong = Predictions.load(runs[1] / "predictions" / "validation.parquet")
    wrong = np.roll(np.eye(7, dtype=np.float32)[strong.labels], 1, axis=1)
    replace(strong, probabilities=wrong, info=strong.info).save(
        runs[0] / "predictions" / "validation.parquet"
    )
    out = tmp_path / "e"
    assert main(["ensemble", *map(str, runs), "--method", "greedy", "--out", str(out)]) == 0
    state = json.loads((out / "ensemble.json").read_text())
    assert [each["title"] for each in state["members"]] == ["strong"]
    assert state["combiner"]["members"] == 1
    assert "0.000" in capsys.readouterr().out  # all members are in the table


def test_predictions_of_other_weights_are_refused(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _with_weights(runs[0])
    (runs[0] / "model.safetensors").write_bytes(b"trained on")
    assert main(["ensemble", *map(str, runs), "--out", str(tmp_path / "e")]) == 1
    error = capsys.readouterr().err
    assert "weak were made with other weights" in error
    assert f"mien evaluate {runs[0]}" in error


def test_an_ensemble_overwrites_no_run(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ensemble", *map(str, runs), "--out", str(runs[0])]) == 2
    assert "and a member of it" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "recipe.toml").touch()
    assert main(["ensemble", *map(str, runs), "--out", str(other)]) == 1
    assert "is the folder of a run" in capsys.readouterr().err
    assert not (other / "predictions").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["weak", "--report", "train"], 1, "mien evaluate weak --data DIR --split train"),
        (["weak", "--tta", "flip"], 1, "--split validation --tta flip"),
        (["weak", "./weak"], 2, "is given twice"),
        (["net.onnx"], 1, "net.onnx is a model, not its predictions"),
        (["none.parquet"], 1, "there is no predictions file none.parquet"),
        (["weak/predictions/test.parquet"], 1, "for the split 'test', not 'validation'"),
        (["weak", "--method", "weights", "--report", "validation", "--select", "test"], 1, "0 of"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_combined(
    arguments: list[str],
    status: int,
    message: str,
    runs: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(runs[0].parent)
    assert main(["ensemble", *arguments]) == status
    assert message in capsys.readouterr().err
    assert not list(Path().glob("ensemble-*"))
