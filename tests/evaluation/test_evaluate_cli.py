"""`mien evaluate` as a process, with a network of three layers whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from mien.cli.evaluate import TTA_NAMES
from mien.cli.main import main
from mien.data.cache import from_arrays, load, save
from mien.emotions import EMOTIONS
from mien.evaluation.predict import predict
from mien.evaluation.predictions import Predictions
from mien.evaluation.tta import TTA
from mien.files import sha256

# The brightness that the network takes for each emotion.
LEVELS = np.arange(7) * 40.0
SOFTNESS = 400.0


def tiny_network() -> onnx.ModelProto:
    """Return softmax(−(mean of the left half − LEVELS)² / SOFTNESS) as a network.

    The square of the mean is the same for all emotions, so what remains is linear in the mean.
    """
    constants = {
        "start": np.array([0], np.int64),
        "end": np.array([4], np.int64),
        "axis": np.array([2], np.int64),
        "weight": (2 * LEVELS / SOFTNESS).astype(np.float32)[None],
        "bias": (-(LEVELS**2) / SOFTNESS).astype(np.float32),
        "axes": np.array([1, 2], np.int64),
        "column": np.array([-1, 1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["float", "start", "end", "axis"], ["half"]),
        helper.make_node("ReduceMean", ["half", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["means"]),
        helper.make_node("Gemm", ["means", "weight", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 7])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name="tests"
    )
    texts = {
        "mien.format": "1",
        "mien.labels": json.dumps(EMOTIONS),
        "mien.preprocessing": json.dumps({"size": 8, "color": False, "filter": None}),
        "mien.provenance": json.dumps({"made_by": "a test"}),
    }
    helper.set_model_props(model, texts)
    onnx.checker.check_model(model)
    return model


def softmax(left: np.ndarray) -> np.ndarray:
    powers = np.exp(-((left[:, None] - LEVELS) ** 2) / SOFTNESS)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model `tiny.onnx` and a data set `data` of 40 labeled images and 10 without labels.

    The left half of an image has its emotion's brightness, but that of five images is the next
    emotion's; the right half is black.
    """
    folder = tmp_path_factory.mktemp("evaluate")
    onnx.save(tiny_network(), folder / "tiny.onnx")
    emotions = np.arange(50) % 7
    shown = np.where(np.arange(50) % 8 == 1, (emotions + 1) % 7, emotions)
    images = np.zeros((50, 8, 8), np.uint8)
    images[:, :, :4] = LEVELS[shown][:, None, None]
    dataset = from_arrays(
        images=images,
        labels=np.where(np.arange(50) < 40, emotions, -1).astype(np.int8),
        splits=(np.arange(50) >= 40).astype(np.uint8),
        names=np.array([f"{i}.png" for i in range(50)]),
        split_names=("validation", "test"),
    )
    save(dataset, folder / "data")
    return folder


def test_a_model_on_validation(folder: Path, run_mien: Any) -> None:
    result = run_mien("evaluate", "tiny.onnx", "--data", "data", cwd=folder)
    assert result.returncode == 0, result.stderr
    # 35 of 40, and Wilson's interval of it.
    for text in ("validation: 40 images", "87.50%", "73.89% to 94.54%", "disgust", "balanced"):
        assert text in result.stdout
    file = folder / "predictions" / "tiny-validation.parquet"
    assert "predictions/tiny-validation.parquet" in result.stdout
    with Image.open(file.with_suffix(".png")) as picture:
        assert picture.format == "PNG"

    predictions = Predictions.load(file)
    emotions = np.arange(40) % 7
    shown = np.where(np.arange(40) % 8 == 1, (emotions + 1) % 7, emotions)
    np.testing.assert_allclose(predictions.probabilities, softmax(LEVELS[shown]), atol=1e-4)
    assert predictions.labels.tolist() == emotions.tolist()
    assert predictions.info["model"] == "tiny.onnx"
    assert predictions.info["model_sha256"] == sha256(folder / "tiny.onnx")
    assert predictions.info["split"] == "validation"


def test_views_are_in_the_name_and_in_the_figures(folder: Path, run_mien: Any) -> None:
    arguments = ("tiny.onnx", "--data", "data", "--tta", "flip", "--out", "out", "--json")
    result = run_mien("evaluate", *arguments, cwd=folder)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["predictions"] == "out/tiny-validation-flip.parquet"
    assert answer["confusion_matrix"] == "out/tiny-validation-flip.png"
    assert (answer["split"], answer["tta"], answer["images"]) == ("validation", "flip", 40)
    # The mirror images show black, which reads as angry, and more surely so than any other level.
    assert [row[0] for row in answer["metrics"]["confusion"]] == [6, 6, 6, 6, 6, 5, 5]
    predictions = Predictions.load(folder / answer["predictions"])
    black = softmax(np.zeros(1))[0]
    np.testing.assert_allclose(
        predictions.probabilities[3], (softmax(LEVELS[3:4])[0] + black) / 2, atol=1e-4
    )


def test_a_run_keeps_its_predictions(folder: Path) -> None:
    # In this process: starting torch takes longer than all the rest.
    from mien.training.recipe import Input, Model, Recipe
    from mien.training.run import Run, build_network, load_classifier

    recipe = Recipe(summary="untrained", model=Model(name="cnn5"), input=Input(size=8))
    run = Run(folder / "run")
    run.create(recipe, {})
    run.save_weights(build_network(recipe).state_dict())

    data = str(folder / "data")
    assert main(["evaluate", str(run.folder), "--data", data, "--tta", "ten-crop"]) == 0
    file = folder / "run" / "predictions" / "validation-ten-crop.parquet"
    assert {path.name for path in file.parent.iterdir()} == {file.name, file.stem + ".png"}
    expected = predict(
        load_classifier(run.folder), load(folder / "data"), "validation", tta="ten-crop"
    )
    predictions = Predictions.load(file)
    np.testing.assert_allclose(predictions.probabilities, expected.probabilities, atol=1e-6)
    model = {"model": "run", "model_sha256": sha256(run.weights_file)}
    assert predictions.info == model | dict(expected.info)


def test_a_split_without_labels_gets_predictions_only(folder: Path, run_mien: Any) -> None:
    arguments = ("tiny.onnx", "--data", "data", "--split", "test", "--out", "blind")
    result = run_mien("evaluate", *arguments, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "without labels" in result.stderr
    assert "accuracy" not in result.stdout
    assert [path.name for path in (folder / "blind").iterdir()] == ["tiny-test.parquet"]
    assert len(Predictions.load(folder / "blind" / "tiny-test.parquet")) == 10
    answer = json.loads(run_mien("evaluate", *arguments, "--json", cwd=folder).stdout)
    assert (answer["metrics"], answer["confusion_matrix"]) == (None, None)


@pytest.fixture
def unlabeled(folder: Path, tmp_path: Path) -> Path:
    """A CSV of predictions, right for all but two of the 40 images, without labels."""
    emotions = np.arange(40) % 7
    emotions[:2] = 6
    lines = [f"name,{','.join(EMOTIONS)}"]
    lines += [
        f"{i}.png," + ",".join("0.4" if j == emotion else "0.1" for j in range(7))
        for i, emotion in enumerate(emotions)
    ]
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_predictions_of_others_get_the_data_sets_labels(
    folder: Path, unlabeled: Path, run_mien: Any
) -> None:
    arguments = (unlabeled, "--data", folder / "data", "--split", "validation", "--json")
    result = run_mien("evaluate", *arguments)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["metrics"]["accuracy"] == 38 / 40
    assert answer["metrics"]["calibration_error"] == pytest.approx(0.95 - 0.4)
    assert answer["confusion_matrix"] == str(unlabeled.with_suffix(".png"))


def test_predictions_are_measured_without_the_data(
    folder: Path, tmp_path: Path, run_mien: Any
) -> None:
    file = tmp_path / "p.parquet"
    labels = np.array([0, 1, -1], np.int8)
    Predictions(np.array(["a", "b", "c"]), labels, np.eye(7, dtype=np.float32)[:3]).save(file)
    result = run_mien("evaluate", file)
    assert result.returncode == 0, result.stderr
    assert "100.00%" in result.stdout
    assert "without a label and left out of the figures: 1" in result.stderr


def test_all_test_time_augmentations_are_offered() -> None:
    assert tuple(TTA) == TTA_NAMES


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("tiny.onnx",), 2, "--data is needed"),
        (("tiny.onnx", "--data", "data", "--tta", "five"), 2, "five"),
        (("tiny.onnx", "--data", "data", "--split", "valid"), 1, "did you mean 'validation'?"),
        (("tiny.onnx", "--data", "nowhere"), 1, "nowhere is not a prepared data set"),
        (("nothing.onnx", "--data", "data"), 1, "nothing.onnx"),
        (("no-such-model", "--data", "data"), 1, "no-such-model"),
        (("data/images.npy", "--data", "data"), 1, "data/images.npy"),
        (("data", "--data", "data"), 1, "data"),
        (("none.parquet",), 1, "there is no predictions file none.parquet"),
        (("none.csv", "--tta", "flip"), 2, "--tta needs a model"),
    ],
)
def test_mistakes_are_told(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    complaint: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(["evaluate", *arguments]) == status
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.out == ""


def test_the_split_of_predictions_is_asked_for(
    folder: Path, unlabeled: Path, run_mien: Any
) -> None:
    result = run_mien("evaluate", unlabeled, "--data", folder / "data")
    assert result.returncode == 1
    assert "--split" in result.stderr
