"""An exported model in fewer bits: weights in float16, or weights and features in int8."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from mien.errors import MienError

Precision = Literal["float32", "float16", "int8"]

CALIBRATION_IMAGES = 512
"""Images by which int8's ranges are found."""
FEWEST_IMAGES = 16

_PERCENTILE = 99.999  # of a feature's values that its range holds
_LEAST_VALUES = 1024  # fewer weights are no gain
_QUANTIZED = ("Conv", "Gemm", "MatMul", "Add", "Relu", "AveragePool", "MaxPool", "Concat")
_WEIGHTED = ("Conv", "Gemm", "MatMul")
_BATCH = 16


def to_float16(model: ModelProto) -> ModelProto:
    """Return a model whose weights are stored as float16, half as large.

    They become float32 again when the model is loaded, so it computes as fast as before. Weights
    that float16 cannot hold (above 65,504) stay as they are.
    """
    reduced = ModelProto()
    reduced.CopyFrom(model)
    graph = reduced.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _LEAST_VALUES:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}/float16"))
        casts.append(
            helper.make_node("Cast", [tensor.name], [name], f"{name}/cast", to=TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return reduced


def to_int8(model: ModelProto, images: NDArray[np.uint8]) -> ModelProto:
    """Return a model that computes in int8 from its second layer on (static quantization, QDQ).

    Features are unsigned with one range a tensor, weights signed with one a channel. Weights have
    7 bits: x86 without VNNI adds two products in 16 bits, which 8 would overflow. The first layer
    stays float32, for pixels in [0, 255] are normalized about 127.5, which lies between two of 256
    levels, so all of them would be rounded; so does what comes behind the softmax.

    Args:
        model: from `images` to `probabilities`.
        images: uint8, what the model takes; at least `FEWEST_IMAGES` faces of the training split,
            by which the ranges of features are found. The same give the same model.

    Raises:
        MienError: there are too few images, or nothing in the model can be quantized.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if len(images) < FEWEST_IMAGES:
        raise MienError(
            f"int8 needs {FEWEST_IMAGES} images at least to find the ranges of features, "
            f"and there are {len(images)}"
        )
    with tempfile.TemporaryDirectory() as scratch, _silence():
        given, prepared, target = (Path(scratch, f"{name}.onnx") for name in ("a", "b", "c"))
        onnx.save(model, given)
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        inside = _inside(onnx.load(prepared))
        if not inside:
            raise MienError("the model has no layer behind its first that int8 could compute")
        quantization.quantize_static(
            prepared,
            target,
            _reader(images),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTIZED),
            nodes_to_quantize=inside,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
            # One batch after the other, so that the features of one are in memory at a time.
            extra_options={"CalibPercentile": _PERCENTILE, "CalibStridedMinMax": 1},
        )
        reduced = onnx.load(target)
    reduced.producer_name, reduced.producer_version = model.producer_name, model.producer_version
    return reduced


def _inside(model: ModelProto) -> list[str]:
    """Return the names of the nodes that can be quantized between first layers and softmax."""
    graph = model.graph
    pixels = {tensor.name for tensor in graph.input}
    answers: set[str] = set()
    inside = []
    for node in graph.node:
        if answers.intersection(node.input) or node.op_type == "Softmax":
            answers.update(node.output)
        elif pixels.intersection(node.input):
            if node.op_type not in _WEIGHTED:
                pixels.update(node.output)
        elif node.op_type in _QUANTIZED:
            inside.append(node.name)
    return inside


def _reader(images: NDArray[np.uint8]) -> Any:
    """Return onnxruntime's reader of batches of one size, of as many images as fill them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.set_range(0, len(self))

        def __len__(self) -> int:
            return len(images) // _BATCH

        def set_range(self, start_index: int, end_index: int) -> None:
            self.left = iter(range(start_index, end_index))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            index = next(self.left, None)
            if index is None:
                return None
            return {"images": images[index * _BATCH : (index + 1) * _BATCH]}

    return Reader()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep to itself what the quantizer prints and logs, advice for those who call it."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.setLevel(level)
