"""Does an ONNX file point to other files? Such a model could read any file of the machine.

The path of "external data" is data of the model and has allowed path traversal (CVE-2025-51480,
CVE-2026-27489). This reads just enough of the protobuf encoding to find it, so that no tensor is
loaded before and the light core needs no `onnx`.
"""

from __future__ import annotations

from collections.abc import Iterator

# Messages of onnx.proto by the numbers of those fields that lead to a tensor.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DEEPEST = 50


def has_external_data(model: bytes) -> bool:
    """Return whether a tensor of a serialized ONNX model lies in another file.

    Raises:
        ValueError: the bytes are no protobuf message.
    """
    return _search(memoryview(model), "model", 0)


def _search(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    for field, value in _fields(message):
        if kind == "tensor":
            if field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0):
                return True
        elif (
            field in _FIELDS[kind]
            and isinstance(value, memoryview)
            and _search(value, _FIELDS[kind][field], depth + 1)
        ):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview | None]]:
    """Yield a message's fields: number and value (None for fixed-width numbers)."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire = key & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if wire == 2:
            length, position = _varint(message, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError("no protobuf message")
        if position + length > len(message):
            raise ValueError("truncated")
        yield key >> 3, message[position : position + length] if wire == 2 else None
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it."""
    number = 0
    for index, byte in enumerate(message[position : position + 10]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, position + index + 1
    raise ValueError("truncated")
