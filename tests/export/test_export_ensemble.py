"""An ensemble as one file: what it computes, what goes into its graph, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.classifiers import open_classifier
from mien.data.cache import from_arrays
from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.ensemble import METHODS, Combiner
from mien.evaluation.ensemble_folder import EnsembleFolder, Member
from mien.evaluation.predict import EnsembleClassifier, answer
from mien.export.ensemble import GRAPH_FILTERS, export_ensemble
from mien.export.forms import Data, Form, write
from mien.files import sha256
from mien.images.preprocessing import FilterSpec, Preprocessing
from mien.recognition.classifier import OnnxClassifier

Make = Callable[..., Member]
GRAY = Preprocessing(size=12)
PARAMETERS: dict[str, dict[str, Any]] = {
    "weights": {"weights": np.array([0.5, 0.2, 0.3])},
    "greedy": {"weights": np.array([3.0, 1.0, 7.0])},
    "stacking": {
        "coefficients": np.random.default_rng(5).normal(size=(7, 21)),
        "intercept": np.random.default_rng(6).normal(size=7),
    },
}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write an exported model, the softmax of a linear map, without training one."""

    def member(
        title: str,
        seed: int,
        preprocessing: Preprocessing = GRAY,
        labels: tuple[str, ...] = EMOTIONS,
        opset: int = 20,
    ) -> Member:
        shape = [preprocessing.size] * 2 + [3] * preprocessing.color
        count = int(np.prod(shape))
        weights = np.random.default_rng(seed).normal(size=(count, 7)) / (30 * count**0.5)
        order = [EMOTIONS.index(label) for label in labels]
        constants = {"w": weights[:, order].astype(np.float32), "flat": np.array([-1, count])}
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT),
                helper.make_node("Reshape", ["x", "flat"], ["row"]),
                helper.make_node("MatMul", ["row", "w"], ["scores"]),
                helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            ],
            "linear",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", *shape])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 7])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 9
        metadata = {
            "mien.format": "1",
            "mien.labels": json.dumps(labels),
            "mien.preprocessing": json.dumps(preprocessing.to_dict()),
            "mien.provenance": json.dumps({"seed": seed}),
            "of another program": "is no JSON",
        }
        helper.set_model_props(model, metadata)
        path = tmp_path / f"{title}.onnx"
        onnx.save(model, path)
        return Member(title, path, path, sha256(path))

    return member


def _ensemble(
    folder: Path, members: list[Member], method: str = "mean"
) -> tuple[Path, EnsembleClassifier]:
    combiner = Combiner(method, len(members), PARAMETERS.get(method, {}))
    EnsembleFolder(combiner, tuple(members)).save(folder)
    classifier, file = open_classifier(folder)
    assert file == folder / "ensemble.json"
    assert isinstance(classifier, EnsembleClassifier)
    return folder, classifier


def _images(size: int = 12, count: int = 40, channels: int = 0) -> np.ndarray:
    shape = (count, size, size, channels) if channels else (count, size, size)
    return np.random.default_rng(9).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_computed_in_the_file(method: str, make: Make, tmp_path: Path) -> None:
    members = [make(f"m{seed}", seed) for seed in range(3)]
    folder, classifier = _ensemble(tmp_path / "ensemble", members, method)
    target = tmp_path / "one.onnx"
    assert export_ensemble(folder, classifier, target) < 1e-5
    exported = OnnxClassifier(target)
    for count in (1, 40):
        found = exported.probabilities(_images(count=count))
        # The members on their own, combined by the combiner itself.
        alone = [
            OnnxClassifier(each.source).probabilities(_images(count=count)) for each in members
        ]
        expected = classifier.combiner.combine(np.stack(alone).astype(np.float64))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.1  # the members do not all say the same


def test_the_file_tells_its_members(make: Make, tmp_path: Path) -> None:
    members = [make("a", 1), make("b", 2)]
    folder, classifier = _ensemble(tmp_path / "both", members)
    target = tmp_path / "one.onnx"
    export_ensemble(folder, classifier, target, {"license": "CC0"})
    exported = OnnxClassifier(target)
    assert exported.preprocessing == GRAY
    told = exported.provenance
    assert told["name"] == "both"
    assert told["license"] == "CC0"
    assert told["ensemble"]["method"] == "mean"
    assert [each["sha256"] for each in told["members"]] == [each.sha256 for each in members]
    assert told["members"][1]["provenance"] == {"seed": 2}


@pytest.mark.parametrize("split", ["validation", "train"])
def test_figures_on_images_that_weights_were_fitted_to_are_not_claimed(
    split: str, make: Make, tmp_path: Path
) -> None:
    folder, classifier = _ensemble(tmp_path / "e", [make("a", 1), make("b", 2)])
    file = folder / "ensemble.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "fitted": {"split": split}}))
    plain, target = tmp_path / "plain.onnx", tmp_path / "measured.onnx"
    export_ensemble(folder, classifier, plain)
    dataset = from_arrays(
        images=_images(),
        labels=(np.arange(40) % 7).astype(np.int8),
        splits=np.zeros(40, np.uint8),
        names=np.arange(40).astype(np.str_),
        split_names=("validation",),
    )
    write(plain, target, Form(), Data(dataset))
    exported = OnnxClassifier(target)
    assert exported.parity["validation"]["data"] == dataset.checksum
    assert ("accuracy" in exported.provenance) == (split == "train")


def test_labels_in_another_order_and_older_operators(make: Make, tmp_path: Path) -> None:
    turned = (*EMOTIONS[3:], *EMOTIONS[:3])
    folder, classifier = _ensemble(tmp_path / "e", [make("a", 1), make("b", 1, labels=turned)])
    target = tmp_path / "one.onnx"
    assert export_ensemble(folder, classifier, target) < 1e-5
    alone = OnnxClassifier(make("c", 1, opset=17).source).probabilities(_images())
    np.testing.assert_allclose(OnnxClassifier(target).probabilities(_images()), alone, atol=1e-6)
    folder, classifier = _ensemble(tmp_path / "old", [make("d", 1, opset=17), make("e", 2)])
    assert export_ensemble(folder, classifier, target) < 1e-5


def test_an_ensemble_within_an_ensemble(make: Make, tmp_path: Path) -> None:
    folder, _ = _ensemble(tmp_path / "inner", [make("a", 1), make("b", 2)])
    file = folder / "ensemble.json"
    inner = Member("inner", folder, file, sha256(file))
    folder, classifier = _ensemble(tmp_path / "outer", [inner, make("c", 3)])
    target = tmp_path / "one.onnx"
    assert export_ensemble(folder, classifier, target) < 1e-5
    a, b, c = (OnnxClassifier(tmp_path / f"{x}.onnx").probabilities(_images()) for x in "abc")
    found = OnnxClassifier(target).probabilities(_images())
    np.testing.assert_allclose(found, (a + b) / 4 + c / 2, atol=1e-6)


@pytest.mark.parametrize("name", GRAPH_FILTERS)
def test_a_filter_in_the_graph_is_the_filter_to_the_gray_level(
    name: str, make: Make, tmp_path: Path
) -> None:
    filtered = Preprocessing(size=12, filter=FilterSpec(name, "after_augmentation"))
    members = [make("plain", 1), make("filtered", 1, filtered)]
    folder, classifier = _ensemble(tmp_path / "e", members)
    target = tmp_path / "one.onnx"
    assert export_ensemble(folder, classifier, target) < 1e-5
    exported = OnnxClassifier(target)
    assert exported.preprocessing == GRAY
    # The filter's own output, seen from inside the file.
    model = onnx.load(target)
    (inside,) = [name for node in model.graph.node for name in node.output if "/filtered" in name]
    model.graph.output.append(helper.make_tensor_value_info(inside, TensorProto.UINT8, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    smooth = np.tile(np.arange(12, dtype=np.uint8) * 20, (1, 12, 1))
    images = np.concatenate([_images(), smooth])
    found = session.run([inside], {"images": images})[0]
    np.testing.assert_array_equal(found, filtered(images))
    assert (found != images).any()


def test_the_same_filter_stays_in_front(make: Make, tmp_path: Path) -> None:
    clahe = FilterSpec("clahe", "before_resize", {"clip_limit": 0.02})
    seen = Preprocessing(size=12, color=True, filter=clahe)
    folder, classifier = _ensemble(tmp_path / "e", [make("a", 1, seen), make("b", 2, seen)])
    target = tmp_path / "one.onnx"
    export_ensemble(folder, classifier, target)
    exported = OnnxClassifier(target)
    assert exported.preprocessing.filter is not None
    assert exported.preprocessing.filter.place == "before_resize"
    images = _images(20, 5, 3)
    expected = answer(classifier, images)
    found = exported.probabilities(exported.preprocessing(images))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (Preprocessing(size=16), "gray, 16 pixels, no filter"),
        (Preprocessing(size=12, color=True), "color, 12 pixels"),
        (Preprocessing(size=12, filter=FilterSpec("gaussian")), "gaussian after resize, sigma 1"),
        (Preprocessing(size=12, filter=FilterSpec("median", "before_resize")), "before resize"),
    ],
)
def test_what_cannot_be_one_file_is_refused_with_names(
    other: Preprocessing, told: str, make: Make, tmp_path: Path
) -> None:
    folder, classifier = _ensemble(tmp_path / "e", [make("first", 1), make("second", 2, other)])
    target = tmp_path / "one.onnx"
    with pytest.raises(MienError, match=told) as caught:
        export_ensemble(folder, classifier, target)
    assert "first takes gray, 12 pixels" in str(caught.value)
    assert "second takes" in str(caught.value)
    assert not target.exists()
    # As a folder it works all the same, each member seeing what it was made for.
    images = _images(20, 5)
    alone = [OnnxClassifier(tmp_path / f"{name}.onnx") for name in ("first", "second")]
    mean = sum(each.probabilities(each.preprocessing(images)) for each in alone) / 2
    np.testing.assert_allclose(classifier.probabilities(images), mean, atol=1e-6)


def test_a_file_that_computes_something_else_is_not_written(make: Make, tmp_path: Path) -> None:
    folder, classifier = _ensemble(tmp_path / "e", [make("a", 1), make("b", 2)])
    swapped = EnsembleClassifier(Combiner("logits", 2), classifier.members)
    with pytest.raises(MienError, match="nothing was written"):
        export_ensemble(folder, swapped, tmp_path / "one.onnx")
    assert not (tmp_path / "one.onnx").exists()


def test_what_is_no_network_is_refused_by_name(make: Make, tmp_path: Path) -> None:
    pipeline = tmp_path / "hog"
    pipeline.mkdir()
    weights = pipeline / "model.safetensors"
    weights.write_bytes(b"a support vector machine")
    member = Member("hog", pipeline, weights, sha256(weights))
    network = make("a", 1)
    EnsembleFolder(Combiner("mean", 2), (network, member)).save(tmp_path / "e")
    # Any classifier that is not of a network's run; which one does not matter.
    opened = EnsembleClassifier(Combiner("mean", 2), [OnnxClassifier(network.source)] * 2)
    with pytest.raises(MienError, match="member hog is no network"):
        export_ensemble(tmp_path / "e", opened, tmp_path / "one.onnx")


def test_a_member_that_is_missing_or_changed_is_named(make: Make, tmp_path: Path) -> None:
    first, second = make("first", 1), make("second", 2)
    folder, _ = _ensemble(tmp_path / "e", [first, second])
    content = second.source.read_bytes()
    second.source.write_bytes(content + b"\0")
    with pytest.raises(MienError, match="member second has changed"):
        open_classifier(folder)
    second.source.unlink()
    with pytest.raises(MienError, match=r"member second is missing: there is no .*second\.onnx"):
        open_classifier(folder)
    second.source.write_bytes(content)
    open_classifier(folder)


def test_members_are_found_after_all_has_moved(make: Make, tmp_path: Path) -> None:
    members = [make("a", 1), make("b", 2)]
    folder, classifier = _ensemble(tmp_path / "sub" / "e", members)
    before = classifier.probabilities(_images())
    assert str(tmp_path) not in (folder / "ensemble.json").read_text()
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    again, _ = open_classifier(moved / "sub" / "e")
    np.testing.assert_array_equal(answer(again, _images()), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "9"}, "is of the format '9'"),
        ({"combiner": {"method": "magic"}}, "there is no method 'magic'"),
        ({"members": []}, "combines 2 members and names 0"),
        ({"members": [{}, {}]}, "is damaged"),
    ],
)
def test_a_damaged_file_is_refused(
    change: dict[str, Any], message: str, make: Make, tmp_path: Path
) -> None:
    folder, _ = _ensemble(tmp_path / "e", [make("a", 1), make("b", 2)])
    file = folder / "ensemble.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(MienError, match=message):
        open_classifier(folder)
    file.write_text("{")
    with pytest.raises(MienError, match="is damaged"):
        open_classifier(folder)


def test_a_folder_keeps_its_ensemble(make: Make, tmp_path: Path) -> None:
    members = [make("a", 1), make("b", 2)]
    folder, _ = _ensemble(tmp_path / "e", members)
    before = (folder / "ensemble.json").read_text()
    _ensemble(folder, members)  # the same again is no harm
    with pytest.raises(MienError, match="holds another ensemble"):
        _ensemble(folder, members, "logits")
    with pytest.raises(MienError, match="holds another ensemble"):
        _ensemble(folder, [replace(members[0], sha256="0" * 64), members[1]])
    assert (folder / "ensemble.json").read_text() == before
