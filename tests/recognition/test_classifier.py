"""Models are used as they say, and files that are none are refused with a clear word."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.images.preprocessing import Preprocessing
from mien.recognition.bundled import bundled_models, find_model
from mien.recognition.classifier import BATCH, OnnxClassifier
from mien.recognition.external_data import has_external_data

onnx = pytest.importorskip("onnx")
MakeModel = Callable[..., Path]
WEIGHTS = np.linspace(-1, 1, 7)


def expected_scores(images: np.ndarray) -> np.ndarray:
    means = images.mean(axis=tuple(range(1, images.ndim))) / 255
    powers = np.exp(means[:, None] * WEIGHTS)
    return powers / powers.sum(axis=1, keepdims=True)


def images(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)


@pytest.mark.parametrize("count", [0, 1, BATCH, 2 * BATCH + 3])
def test_probabilities_are_the_networks(model: Path, count: int) -> None:
    batch = images(count, 48, 48)
    scores = OnnxClassifier(model).probabilities(batch)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected_scores(batch), atol=1e-5)


def test_what_the_model_says_of_itself(make_model: MakeModel) -> None:
    spec = {"size": 48, "color": True, "filter": {"name": "unsharp_mask", "options": {}}}
    path = make_model(color=True, preprocessing=json.dumps(spec))
    classifier = OnnxClassifier(path, threads=1)
    assert classifier.labels == EMOTIONS
    assert classifier.preprocessing == Preprocessing.from_dict(spec)
    assert classifier.provenance["name"] == "tiny"
    assert classifier.input_shape == (48, 48, 3)
    batch = images(3, 48, 48, 3)
    np.testing.assert_allclose(classifier.probabilities(batch), expected_scores(batch), atol=1e-5)


def test_provenance_may_be_missing(make_model: MakeModel) -> None:
    classifier = OnnxClassifier(make_model(provenance=None))
    assert classifier.provenance == classifier.calibration == classifier.parity == {}
    assert classifier.precision == "float32"


@pytest.mark.parametrize(
    "batch", [images(2, 48, 47), images(2, 48, 48, 3), images(2, 48, 48).astype(np.float32)]
)
def test_other_batches_are_refused(model: Path, batch: np.ndarray) -> None:
    with pytest.raises(ValueError, match="images must be uint8 N×48×48"):
        OnnxClassifier(model).probabilities(batch)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"format": None}, "no mien model"),
        ({"format": "2"}, "of the format 2, not 1"),
        ({"format": "crops-1"}, "of the format crops-1, not 1"),
        ({"labels": None}, "damaged metadata"),
        ({"labels": "[1"}, "damaged metadata"),
        ({"labels": '["angry", "bored"]'}, "other emotions: angry, bored"),
        ({"labels": "[1, 2]"}, "other emotions"),
        ({"preprocessing": "[]"}, "damaged metadata"),
        ({"preprocessing": '{"sise": 48}'}, "damaged metadata"),
        ({"preprocessing": '{"size": 32}'}, "does not run on images of 32 pixels"),
        ({"preprocessing": '{"size": 48, "color": true}'}, "does not take uint8 images"),
        ({"provenance": "7"}, "damaged metadata"),
        ({"calibration": "[]"}, "damaged metadata: mien.calibration is no JSON object"),
        ({"parity": "{"}, "damaged metadata"),
    ],
)
def test_metadata_that_does_not_fit(
    make_model: MakeModel, metadata: dict[str, Any], reason: str
) -> None:
    path = make_model(**metadata)
    with pytest.raises(MienError, match=reason) as caught:
        OnnxClassifier(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07", os.urandom(999)])
def test_files_that_are_no_models(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(MienError, match=r"no ONNX file, or a damaged one|no mien model"):
        OnnxClassifier(path)


def test_truncated_models(model: Path) -> None:
    content = model.read_bytes()
    for kept in (10, len(content) // 2, len(content) - 1):
        model.write_bytes(content[:kept])
        with pytest.raises(MienError):
            OnnxClassifier(model)


def test_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="there is no model"):
        OnnxClassifier(tmp_path / "none.onnx")
    with pytest.raises(MienError, match="unknown model 'smal'"):
        OnnxClassifier("smal")


def test_bundled_models_are_found_by_name() -> None:
    assert "small" in bundled_models()
    for name, path in bundled_models().items():
        assert find_model(name) == path
        assert OnnxClassifier(name).provenance


def external(tensor: Any) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"


def test_weights_in_another_file_are_refused(model: Path) -> None:
    loaded = onnx.load(model)
    assert not has_external_data(model.read_bytes())
    (model.parent / "weights.bin").write_bytes(loaded.graph.initializer[0].raw_data)
    external(loaded.graph.initializer[0])
    model.write_bytes(loaded.SerializeToString())
    with pytest.raises(MienError, match="keeps weights in other files"):
        OnnxClassifier(model)


def test_external_data_is_found_wherever_a_tensor_can_be() -> None:
    from onnx import helper

    def tensor() -> Any:
        result = onnx.TensorProto(name="t", data_type=onnx.TensorProto.FLOAT, dims=[1])
        external(result)
        return result

    def model_of(*nodes: Any, **graph: Any) -> bytes:
        made = helper.make_model(helper.make_graph(list(nodes), "g", [], [], **graph))
        return bytes(made.SerializeToString())

    constant = helper.make_node("Constant", [], ["c"], value=tensor())
    inner = helper.make_graph([constant], "inner", [], [])
    branch = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    sparse = onnx.SparseTensorProto(values=tensor(), dims=[1])
    function = helper.make_function("d", "f", [], ["c"], [constant], [helper.make_opsetid("", 18)])
    with_function = helper.make_model(helper.make_graph([], "g", [], []), functions=[function])
    default = helper.make_function("d", "f", [], ["c"], [], [])
    default.attribute_proto.append(helper.make_attribute("value", tensor()))
    with_default = helper.make_model(helper.make_graph([], "g", [], []), functions=[default])
    trained = helper.make_model(helper.make_graph([], "g", [], []))
    trained.training_info.add().algorithm.CopyFrom(inner)
    for content in (
        model_of(constant),
        model_of(branch),
        model_of(sparse_initializer=[sparse]),
        with_function.SerializeToString(),
        with_default.SerializeToString(),
        trained.SerializeToString(),
    ):
        assert has_external_data(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_searched_without_a_crash(content: bytes) -> None:
    try:
        found = has_external_data(content)
    except ValueError:
        return
    assert found in (True, False)
