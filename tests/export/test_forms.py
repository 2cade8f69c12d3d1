"""Exports in fewer bits and with the preprocessing inside, through the command and measured."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import mien as mien_package
from mien.cli.main import main
from mien.data import cache
from mien.data.cache import Dataset
from mien.errors import MienError
from mien.export import onnx as exporting
from mien.export.parity import Figures, Parity
from mien.export.reducing import FEWEST_IMAGES, to_int8
from mien.images.decode import decode_whole
from mien.recognition.classifier import OnnxClassifier
from mien.training import loop
from mien.training.recipe import load

SIZE = 16
PHOTO = Path(mien_package.__file__).parent / "assets" / "astronaut.jpg"


@pytest.fixture(scope="module", autouse=True)
def _traced_once() -> Iterator[None]:
    """Tracing a network takes seconds: one with the same weights is not traced again."""
    trace, known = exporting.to_onnx, dict[Any, onnx.ModelProto]()

    def to_onnx(module: Any, shape: Any, names: Any) -> onnx.ModelProto:
        weights = b"".join(tensor.numpy().tobytes() for tensor in module.state_dict().values())
        key = (hashlib.sha256(weights).digest(), shape, names)
        if key not in known:
            known[key] = trace(module, shape, names)
        model = onnx.ModelProto()
        model.CopyFrom(known[key])
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "to_onnx", to_onnx)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data whose brightness is the emotion, two runs and their plain exports."""
    folder = tmp_path_factory.mktemp("forms")
    random = np.random.default_rng(0)
    labels = (np.arange(560) % 7).astype(np.int8)
    images = labels[:, None, None] * 30 + random.integers(0, 60, (560, SIZE, SIZE))
    labels[500:] = -1  # not all of validation is known
    dataset = cache.from_arrays(
        images=images.astype(np.uint8),
        labels=labels,
        splits=(np.arange(560) >= 350).astype(np.uint8),
        names=np.arange(560).astype(np.str_),
        split_names=("train", "validation"),
    )
    cache.save(dataset, folder / "data")
    for seed in (0, 1):
        overrides = [f"input.size={SIZE}", "training.epochs=3", "training.batch_size=16"]
        overrides += ["training.sizes=[]", "model.options.widths=[16,16,32]"]
        overrides += [f"training.seed={seed}"]
        run = loop.start(load("foldnet", overrides), dataset, folder / f"run{seed}")
        loop.train(run, dataset)
        assert mien("export", run.folder, "--to", folder / f"run{seed}.onnx") == 0
    return folder


def mien(*arguments: object) -> int:
    return main([*map(str, arguments)])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return values


def metadata(file: Path) -> dict[str, Any]:
    entries = {each.key: each.value for each in onnx.load(file).metadata_props}
    return {key: json.loads(v) for key, v in entries.items() if key != "mien.format"}


def validation(home: Path) -> tuple[Dataset, NDArray[np.intp]]:
    dataset = cache.load(home / "data")
    return dataset, dataset.indices("validation")


def constants(file: Path) -> dict[str, NDArray[Any]]:
    return {each.name: numpy_helper.to_array(each) for each in onnx.load(file).graph.initializer}


def test_int8_is_measured_recorded_and_the_same_again(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, again = tmp_path / "int8.onnx", tmp_path / "again.onnx"
    arguments = ("--int8", "--data", home / "data", "--threads", 1)
    assert mien("export", home / "run0", "--to", target, *arguments, "--json") == 0
    printed = told(capsys)
    dataset, rows = validation(home)
    known = dataset.labels[rows] >= 0
    before, after = (
        OnnxClassifier(file).probabilities(dataset.images[rows])
        for file in (home / "run0.onnx", target)
    )
    right = (after.argmax(axis=1) == dataset.labels[rows])[known].mean()
    assert right > 0.5
    parity = printed["parity"]
    assert parity["images"] == known.sum() == 150
    assert parity["after"]["accuracy"] == right
    assert parity["before"]["bytes"] > parity["after"]["bytes"]
    difference = np.abs(before - after).max()
    assert 0 < difference == pytest.approx(parity["largest_difference"], abs=1e-5)
    assert printed["pays"] == (parity["speedup"] >= 1.3 and parity["loss"] < 0.003)
    kept = metadata(target)
    assert kept["mien.parity"]["precision"] == "int8"
    assert kept["mien.parity"]["validation"]["float32_accuracy"] == parity["before"]["accuracy"]
    assert kept["mien.provenance"]["accuracy"]["accuracy"] == right
    assert "faces_per_second" not in json.dumps(kept)  # belongs to the machine
    assert mien("export", home / "run0", "--to", again, *arguments) == 0
    spoken = capsys.readouterr().out
    assert "int8 pays" in spoken or "int8 does not pay" in spoken
    first, second = constants(target), constants(again)
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])


def test_int8_leaves_the_first_layer_and_the_probabilities_as_they_are(home: Path) -> None:
    images = np.asarray(cache.load(home / "data").images[:32])
    graph = to_int8(onnx.load(home / "run0.onnx"), images).graph
    made_by = {name: node for node in graph.node for name in node.output}
    weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    kinds = []
    for node in graph.node:
        if node.op_type == "Conv":
            source = made_by.get(node.input[1])
            stored = weights[source.input[0] if source else node.input[1]]
            kinds.append(stored.dtype)
            if source:
                # 7 bits, so that two products fit into the 16 bits of x86's older instructions.
                assert np.abs(stored).max() <= 64
                assert made_by[node.input[0]].op_type == "DequantizeLinear"
    assert kinds[0] == np.float32
    assert set(kinds[1:]) == {np.dtype(np.int8)}
    (softmax,) = [node for node in graph.node if node.op_type == "Softmax"]
    assert softmax.output[0] == "probabilities"


def test_too_few_images_for_int8_are_refused(home: Path) -> None:
    images = np.zeros((FEWEST_IMAGES - 1, SIZE, SIZE), np.uint8)
    with pytest.raises(MienError, match="16 images at least"):
        to_int8(onnx.load(home / "run0.onnx"), images)


def test_float16_halves_weights_and_changes_little(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, measured = tmp_path / "half.onnx", tmp_path / "measured.onnx"
    assert mien("export", home / "run0", "--to", target, "--fp16") == 0
    assert "was not measured" in capsys.readouterr().err
    before, after = constants(home / "run0.onnx"), constants(target)
    halved = [name for name, values in after.items() if values.dtype == np.float16]
    assert len(halved) >= 8
    for name in halved:
        original = before[name.removesuffix("/float16")]
        np.testing.assert_array_equal(after[name], original.astype(np.float16))
    images = cache.load(home / "data").images[:64]
    first, second = (
        OnnxClassifier(file).probabilities(images) for file in (home / "run0.onnx", target)
    )
    assert 0 < np.abs(first - second).max() < 0.01
    assert "accuracy" not in metadata(target)["mien.provenance"]  # that was float32's
    assert metadata(target)["mien.parity"] == {"precision": "float16"}
    arguments = ("--fp16", "--data", home / "data", "--json")
    assert mien("export", home / "run0", "--to", measured, *arguments) == 0
    parity = told(capsys)["parity"]
    assert (
        metadata(measured)["mien.parity"]["validation"]["accuracy"] == (parity["after"]["accuracy"])
    )


def test_the_plain_file_is_compared_with_the_network(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(home / "run1", tmp_path / "run")
    assert mien("calibrate", tmp_path / "run", "--data", home / "data") == 0
    capsys.readouterr()
    target = tmp_path / "plain.onnx"
    arguments = ("--data", home / "data", "--threads", 1)
    assert mien("export", tmp_path / "run", "--to", target, *arguments, "--json") == 0
    printed = told(capsys)
    assert printed["temperature"] is not None
    parity = printed["parity"]
    assert parity["before"]["title"] == "network"
    assert parity["largest_difference"] < 1e-4  # both are calibrated
    assert parity["before"]["accuracy"] == parity["after"]["accuracy"]
    weights = tmp_path / "run" / "model.safetensors"
    assert parity["before"]["bytes"] == weights.stat().st_size
    record = metadata(target)["mien.parity"]
    assert record["precision"] == "float32"
    assert record["validation"]["images"] == 150


def test_a_file_that_takes_crops_says_what_the_plain_one_says(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "crops.onnx"
    assert mien("export", home / "run0", "--to", target, "--crops", "rgb") == 0
    assert "RGB to gray, resize to 16×16" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    plain = OnnxClassifier(home / "run0.onnx")
    photo = decode_whole(PHOTO, color=True)
    for box in ((60, 160, 200, 300), (10, 21, 30, 38), (0, 512, 0, 512), (100, 116, 200, 232)):
        crop = np.ascontiguousarray(photo[box[0] : box[1], box[2] : box[3]])
        batch = np.stack([crop, crop[:, ::-1]])
        found = session.run(None, {"images": batch})[0]
        expected = plain.probabilities(plain.preprocessing(batch))
        np.testing.assert_allclose(found, expected, atol=0.01)
    told_inside = metadata(target)["mien.input"]
    assert told_inside["crops"] == "rgb"
    assert told_inside["largest_difference"]["levels"] <= 1
    with pytest.raises(MienError, match="crops-1"):
        OnnxClassifier(target)


def test_an_ensemble_in_int8_that_takes_crops(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, target = tmp_path / "both", tmp_path / "both.onnx"
    runs, data = (home / "run0", home / "run1"), ("--data", home / "data")
    assert mien("ensemble", *runs, "--method", "mean", "--out", folder, *data) == 0
    capsys.readouterr()
    arguments = ("--int8", "--crops", "gray", *data, "--json")
    assert mien("export", folder, "--to", target, *arguments) == 0
    printed = told(capsys)
    assert printed["input"]["inside"] == [f"resize to {SIZE}×{SIZE}"]
    dataset, rows = validation(home)
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": dataset.images[rows]})[0]
    alone = [
        OnnxClassifier(home / f"run{i}.onnx").probabilities(dataset.images[rows]) for i in (0, 1)
    ]
    difference = np.abs(found - sum(alone) / 2).max()
    assert 0 < difference < 0.1
    assert difference == pytest.approx(printed["parity"]["largest_difference"], abs=1e-5)
    weights = [values for values in constants(target).values() if values.ndim == 4]
    stored = [values.dtype for values in weights if values.size > 1]  # one value normalizes pixels
    assert stored.count(np.dtype(np.float32)) == 2  # the first layer of each member
    assert stored.count(np.dtype(np.int8)) > 10


def test_no_file_tells_where_it_was_made(home: Path) -> None:
    content = (home / "run0.onnx").read_bytes()
    assert b"stack_trace" not in content
    assert b".py" not in content


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("--fp16", "--int8"), 2, "exclude each other"),
        (("--int8",), 2, "--int8 needs --data"),
        (("--int8", "--data", "nowhere"), 1, "not a prepared data set"),
        (("--crops", "blue"), 2, "'blue' is not one of"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: tuple[str, ...],
    status: int,
    complaint: str,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "x.onnx"
    assert mien("export", home / "run0", "--to", target, *arguments) == status
    assert complaint in capsys.readouterr().err
    assert not target.exists()


def test_int8_pays_only_where_it_is_fast_and_exact() -> None:
    def pays(speed: float, accuracy: float) -> bool:
        before = Figures("float32 file", 0.7, 0.65, 0.02, 100, 1000.0)
        after = Figures("int8 file", accuracy, 0.65, 0.02, 30, speed)
        return Parity("validation", 1000, 1, before, after, 0.1, 0.01).pays

    assert pays(1300, 0.698)
    assert not pays(1299, 0.7)
    assert not pays(2000, 0.6969)
    assert pays(2000, 0.71)
