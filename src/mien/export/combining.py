"""A combiner as the nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.ensemble import RESOLUTION, Combiner


class _Nodes:
    """Nodes and constants in the making; all names begin with "combiner/"."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = f"combiner/{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: NDArray[np.generic]) -> str:
        """Add a constant and return its name."""
        name = f"combiner/constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def numbers(self, *values: float) -> str:
        return self.constant(np.array(values, np.float32))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))


def combining(
    combiner: Combiner, answers: Sequence[str], output: str
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return the nodes that compute what `Combiner.combine` does, in single precision.

    They are written for version 18 of ONNX's operators and later ones.

    Args:
        combiner: of as many members as there are answers.
        answers: names of the members' probabilities, float32, N×7.
        output: the name of the result, float32, N×7.

    Returns:
        Nodes in their order, and constants.

    Raises:
        MienError: the combiner's method has no such form.
    """
    graph = _Nodes()
    flat = graph.add("Concat", answers, axis=1)  # N×7M
    method = combiner.method
    if method in ("mean", "weights", "greedy"):
        weights = combiner.parameters.get("weights", np.ones(combiner.members))
        result = _weighted(graph, combiner, flat, weights / weights.sum())
    elif method == "logits":
        weights = np.full(combiner.members, 1 / combiner.members)
        mean = _weighted(graph, combiner, _logarithm(graph, flat), weights)
        result = graph.add("Softmax", [mean], axis=1)
    elif method == "vote":
        result = _vote(graph, combiner, flat)
    elif method == "stacking":
        coefficients = combiner.parameters["coefficients"].astype(np.float32)
        intercept = combiner.parameters["intercept"].astype(np.float32)
        inputs = [_logarithm(graph, flat), graph.constant(coefficients), graph.constant(intercept)]
        result = graph.add("Softmax", [graph.add("Gemm", inputs, transB=1)], axis=1)
    else:
        raise MienError(f"an ensemble that is combined by {method} cannot be exported")
    graph.nodes.append(helper.make_node("Identity", [result], [output], name="combiner/output"))
    return graph.nodes, graph.constants


def _by_member(graph: _Nodes, combiner: Combiner, flat: str) -> str:
    """Return N×7M as N×M×7."""
    shape = graph.integers(-1, combiner.members, len(EMOTIONS))
    return graph.add("Reshape", [flat, shape])


def _weighted(graph: _Nodes, combiner: Combiner, flat: str, weights: NDArray[np.float64]) -> str:
    factors = graph.constant(weights.astype(np.float32)[:, None])
    weighted = graph.add("Mul", [_by_member(graph, combiner, flat), factors])
    return graph.add("ReduceSum", [weighted, graph.integers(1)], keepdims=0)


def _logarithm(graph: _Nodes, values: str) -> str:
    return graph.add("Log", [graph.add("Max", [values, graph.numbers(RESOLUTION)])])


def _vote(graph: _Nodes, combiner: Combiner, flat: str) -> str:
    stack = _by_member(graph, combiner, flat)
    first = graph.add("ArgMax", [stack], axis=2, keepdims=0)
    depth, values = graph.integers(len(EMOTIONS)), graph.numbers(0, 1)
    votes = graph.add("OneHot", [first, depth, values], axis=-1)
    share = graph.add("Mul", [stack, graph.numbers(1 / combiner.members)])
    total = graph.add(
        "ReduceSum", [graph.add("Add", [votes, share]), graph.integers(1)], keepdims=0
    )
    return graph.add("Mul", [total, graph.numbers(1 / (combiner.members + 1))])
