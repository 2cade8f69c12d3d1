"""`mien models`: what is listed and shown is what export wrote into the files, and one measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.cli.main import main
from mien.evaluation.calibration import Calibration, fit
from mien.evaluation.predictions import Predictions
from mien.recognition import bundled
from mien.recognition.bundled import OFF_LIMITS, bundled_models
from mien.recognition.classifier import OnnxClassifier

onnx = pytest.importorskip("onnx")
MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Write a copy of the bundled model with further metadata, given as JSON values."""

    def make(**metadata: Any) -> Path:
        model = onnx.load(bundled_models()["small"])
        known = {entry.key: entry.value for entry in model.metadata_props}
        ours = {f"mien.{key}": json.dumps(value) for key, value in metadata.items()}
        onnx.helper.set_model_props(model, known | ours)
        path = tmp_path / "copy.onnx"
        onnx.save(model, path)
        return path

    return make


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    """A temperature fitted to answers that are too sure."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 7, 500).astype(np.int8)
    scores = np.exp(random.normal(size=(500, 7)) * 3 + 4 * np.eye(7)[labels])
    probabilities = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    names = np.array([f"image {i}" for i in range(500)])
    return fit(Predictions(names, labels, probabilities, {"split": "validation"})).calibration()


PARITY = {
    "precision": "int8",
    "validation": {
        "images": 3589,
        "accuracy": 0.7011,
        "balanced_accuracy": 0.6789,
        "float32_accuracy": 0.7033,
        "largest_difference": 0.0421,
    },
}


def test_the_classifier_reads_what_export_wrote(
    make_model: MakeModel, calibration: Calibration
) -> None:
    plain = OnnxClassifier()
    assert plain.precision == plain.parity.get("precision", "float32")
    read = OnnxClassifier(make_model(calibration=calibration.to_dict(), parity=PARITY))
    assert read.calibration == calibration.to_dict()
    assert read.parity == PARITY
    assert read.precision == "int8"


def test_a_row_has_the_figures_of_the_file(
    make_model: MakeModel, calibration: Calibration, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {"split": "test", "images": 1234, "accuracy": 0.7011, "balanced_accuracy": 0.6789}
    path = make_model(
        calibration=calibration.to_dict(), parity=PARITY, provenance={"accuracy": figures}
    )
    assert main(["models", str(path)]) == 0
    printed = capsys.readouterr()
    row = next(line.split() for line in printed.out.splitlines() if line.split()[:1] == [str(path)])
    before, after = (calibration.measured[key]["calibration_error"] for key in ("before", "after"))
    assert before > after
    size = f"{path.stat().st_size / 1e6:.1f}"
    assert row[1:] == [
        *("70.1%", "67.9%", "48×48", "gray", "int8", size, "MB"),
        *(f"{before:.1%}", "→", f"{after:.1%}", f"{calibration.temperature:.3f}"),
    ]
    assert "measured on test, 1,234 images" in printed.out
    assert "expected calibration error" in printed.err


def test_speed_is_measured_when_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--speed", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert all(facts["faces_per_second"] > 0 for facts in measured)
    assert main(["models", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert [facts | {"faces_per_second": 0} for facts in plain] == [
        facts | {"faces_per_second": 0} for facts in measured
    ]
    assert all("faces_per_second" not in facts for facts in plain)
    assert main(["models", "small", "--speed"]) == 0
    printed = capsys.readouterr()
    header = next(line for line in printed.out.splitlines() if "accuracy" in line)
    assert header.split()[-1] == "faces/s"
    assert "64 faces at once" in printed.err


def test_several_models_may_come_with_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = bundled_models()["small"]
    for name in ("small", "tiny"):
        shutil.copy(source, tmp_path / f"mien-{name}.onnx")
    monkeypatch.setattr(bundled, "ASSETS", tmp_path)
    assert list(bundled_models()) == ["small", "tiny"]
    assert OnnxClassifier("tiny").path == tmp_path / "mien-tiny.onnx"
    assert OnnxClassifier().path == tmp_path / "mien-small.onnx"
    assert main(["models"]) == 0
    printed = capsys.readouterr()
    named = [line.split()[0] for line in printed.out.splitlines() if "48×48" in line]
    assert named == ["small", "tiny"]
    assert "the default is small" in printed.err
    assert main(["models", "tin"]) == 1
    assert "did you mean 'tiny'?" in capsys.readouterr().err


def test_show_prints_what_a_model_says_of_itself(
    make_model: MakeModel, calibration: Calibration, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = {**calibration.fitted, "balance": 0.3}
    calibration = replace(calibration, fitted=fitted)
    path = make_model(calibration=calibration.to_dict(), parity=PARITY)
    assert main(["models", "show", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "rare emotions are helped, strength 0.3" in printed
    assert f"temperature {calibration.temperature:.3f}, fitted to 500 images" in printed
    assert "70.1% of the file, 70.3% of the network" in printed
    assert OFF_LIMITS in printed
    assert main(["models", "show", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert main(["models", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [shown]


def test_show_takes_a_bundled_models_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "small"]) == 0
    printed = capsys.readouterr()
    assert str(bundled_models()["small"]) in printed.out
    assert "docs/model-card.md" in printed.err
    assert main(["models", "show", "small", "--size", "64"]) == 2
    assert "for networks" in capsys.readouterr().err


def test_metadata_of_another_shape_are_shown_as_unknown(
    make_model: MakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_model(calibration={"temperature": "hot", "measured": 7}, parity={"validation": []})
    for arguments in (["models", str(path)], ["models", "show", str(path)]):
        assert main(arguments) == 0
        assert "–" in capsys.readouterr().out
