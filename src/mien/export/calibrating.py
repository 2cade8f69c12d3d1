"""A temperature as the last nodes of an ONNX graph."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from mien.evaluation.ensemble import RESOLUTION

_OUTPUT = "probabilities"
_BEFORE = "calibration/uncalibrated"


def add_temperature(model: ModelProto, temperature: float) -> None:
    """Let a model give the probabilities of `mien.evaluation.calibration.scaled`.

    Args:
        model: has an output `probabilities`, float32 N×7, and operators of version 13 or later;
            is changed.
        temperature: above 0.
    """
    graph = model.graph
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == _OUTPUT:
                    names[index] = _BEFORE
    constants = {
        "calibration/lowest": np.array(RESOLUTION, np.float32),
        "calibration/scale": np.array(1 / temperature, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants.items())
    steps = (
        ("Max", [_BEFORE, "calibration/lowest"], "calibration/positive"),
        ("Log", ["calibration/positive"], "calibration/logits"),
        ("Mul", ["calibration/logits", "calibration/scale"], "calibration/scaled"),
    )
    for kind, inputs, output in steps:
        graph.node.append(helper.make_node(kind, inputs, [output], name=output))
    softmax = helper.make_node(
        "Softmax", ["calibration/scaled"], [_OUTPUT], name="calibration/softmax", axis=1
    )
    graph.node.append(softmax)
