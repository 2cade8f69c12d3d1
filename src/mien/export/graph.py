"""Several ONNX models put together in one graph."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import (
    FunctionProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    compose,
    helper,
    version_converter,
)

from mien.emotions import EMOTIONS
from mien.version import __version__

OPSET = 18
"""The lowest version of ONNX's operators that a graph is put together for."""


class Graph:
    """A graph in the making, of whole models and single nodes.

    Args:
        parts: all the models that will be included; the highest version of operators among them
            is that of the graph.

    Attributes:
        nodes: in an order in which they can be computed.
        constants: what nodes refer to by name.
    """

    def __init__(self, parts: Sequence[ModelProto]) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._shapes: list[ValueInfoProto] = []
        self._functions: list[FunctionProto] = []
        self._versions: dict[str, int] = {"": OPSET}
        self._ir_version = 0
        for part in parts:
            self._ir_version = max(self._ir_version, part.ir_version)
            for domain, version in _versions(part).items():
                self._versions[domain] = max(version, self._versions.get(domain, 0))

    def include(self, model: ModelProto, prefix: str, source: str) -> str:
        """Add a model of one input and one output.

        Args:
            model: one of the graph's parts.
            prefix: of the names of all that is in it, so that they do not meet others.
            source: the name of what it is given.

        Returns:
            The name of its output.
        """
        if _versions(model)[""] != self._versions[""]:
            model = version_converter.convert_version(model, self._versions[""])
        graph = compose.add_prefix(model, prefix)
        inner = graph.graph
        self.nodes.append(helper.make_node("Identity", [source], [inner.input[0].name]))
        self.nodes += inner.node
        self.constants += inner.initializer
        self._shapes += inner.value_info
        self._functions += graph.functions
        return str(inner.output[0].name)

    def model(self, shape: tuple[int | str, ...]) -> ModelProto:
        """Return the graph as a model from `images`, uint8 N×shape, to `probabilities`.

        An axis of any length has a name in place of one.
        """
        images: list[str | int | None] = ["batch", *shape]
        probabilities: list[str | int | None] = ["batch", len(EMOTIONS)]
        graph = helper.make_graph(
            self.nodes,
            "ensemble",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, images)],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, probabilities)],
            self.constants,
            value_info=self._shapes,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(*each) for each in self._versions.items()],
            functions=self._functions,
            producer_name="mien",
            producer_version=__version__,
        )
        model.ir_version = self._ir_version
        return model


def _versions(model: ModelProto) -> dict[str, int]:
    """Return the version of each domain of operators; ONNX's own has the name ""."""
    return {each.domain: each.version for each in model.opset_import}
