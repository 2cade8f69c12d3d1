"""A calibration as the last nodes of an ONNX graph."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from mien.evaluation.calibration import Calibration
from mien.evaluation.ensemble import RESOLUTION

_OUTPUT = "probabilities"
_BEFORE = "calibration/uncalibrated"


def add_calibration(model: ModelProto, calibration: Calibration) -> None:
    """Let a model give the probabilities of `Calibration.apply`.

    Args:
        model: has an output `probabilities`, float32 N×7, and operators of version 13 or later;
            is changed.
        calibration: its offsets and its temperature become nodes.
    """
    graph = model.graph
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == _OUTPUT:
                    names[index] = _BEFORE
    constants = {
        "calibration/lowest": np.array(RESOLUTION, np.float32),
        "calibration/offsets": np.array(calibration.offsets, np.float32),
        "calibration/scale": np.array(1 / calibration.temperature, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants.items())
    steps = (
        ("Max", [_BEFORE, "calibration/lowest"], "calibration/positive"),
        ("Log", ["calibration/positive"], "calibration/logits"),
        ("Add", ["calibration/logits", "calibration/offsets"], "calibration/raised"),
        ("Mul", ["calibration/raised", "calibration/scale"], "calibration/scaled"),
    )
    for kind, inputs, output in steps:
        graph.node.append(helper.make_node(kind, inputs, [output], name=output))
    softmax = helper.make_node(
        "Softmax", ["calibration/scaled"], [_OUTPUT], name="calibration/softmax", axis=1
    )
    graph.node.append(softmax)
