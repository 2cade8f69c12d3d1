"""A small model with known arithmetic, with which recognition is tested."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.emotions import EMOTIONS

onnx = pytest.importorskip("onnx")

WEIGHTS = np.linspace(-1, 1, 7, dtype=np.float32)
"""The model's logits are the mean of an image by 255, times these."""

MakeModel = Callable[..., Path]


def small_model(color: bool = False, size: int = 48) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    shape = (size, size, 3) if color else (size, size)
    initializers = [
        numpy_helper.from_array(WEIGHTS[None] / 255, "weights"),
        numpy_helper.from_array(np.arange(1, len(shape) + 1), "axes"),
        numpy_helper.from_array(np.array([-1, 1]), "column"),
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["means"], keepdims=0),
        helper.make_node("Reshape", ["means", "column"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 7])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Write a small model; keywords replace (or, as None, remove) entries of its metadata."""

    def make(name: str = "tiny.onnx", color: bool = False, **metadata: str | None) -> Path:
        model = small_model(color)
        entries: dict[str, str | None] = {
            "format": "1",
            "labels": json.dumps(EMOTIONS),
            "preprocessing": json.dumps({"size": 48, "color": color, "filter": None}),
            "provenance": json.dumps({"name": "tiny", "summary": "a model for tests"}),
            **metadata,
        }
        for key, value in entries.items():
            if value is not None:
                entry = model.metadata_props.add()
                entry.key, entry.value = f"mien.{key}", value
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return make


@pytest.fixture(scope="session")
def yunet(photos: Path) -> Path:
    """YuNet's file, which is not part of the repository."""
    files = sorted((photos.parent / "models").glob("face_detection_yunet_*.onnx"))
    if not files:
        pytest.skip("needs YuNet's file of the test data, which is not part of the repository")
    return files[-1]


@pytest.fixture
def model(make_model: MakeModel) -> Path:
    return make_model()
