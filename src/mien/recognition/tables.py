"""Results as rows of a table: what `--csv` and `--parquet` write and `to_dataframe` returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mien.emotions import EMOTIONS
from mien.recognition.results import Face, Frame, Picture, TrackedFace

COLUMNS: tuple[str, ...] = (
    *("image", "status", "face", "x", "y", "width", "height", "detection", "emotion", "confidence"),
    *EMOTIONS,
    *("verdict", "quality", "reason"),
)
"""Of a picture: a row a face, or one for a picture without faces."""

FRAME_COLUMNS: tuple[str, ...] = ("frame", "seconds", "track", *COLUMNS)
"""Of a frame, likewise."""

TEXTS = frozenset({"image", "status", "emotion", "verdict", "quality", "reason"})
INTEGERS = frozenset({"frame", "track", "face", "x", "y", "width", "height"})
"""The columns of text and of whole numbers; the others are fractions."""


def rows(picture: Picture) -> Iterator[dict[str, Any]]:
    """Yield what a table says of a picture or a frame; what has no value is left out.

    x, y, width and height are those of the face's box; `face` counts from 1; `quality` names what
    makes the face hard to read, with spaces between.
    """
    common: dict[str, Any] = {"image": picture.image, "status": picture.status}
    if isinstance(picture, Frame):
        common = {"frame": picture.index, "seconds": picture.seconds, **common}
    if not picture.faces:
        yield common | ({"reason": picture.reason} if picture.reason else {})
    for number, face in enumerate(picture.faces, 1):
        yield {**common, "face": number, **_face(face)}


def _face(face: Face) -> dict[str, Any]:
    values: dict[str, Any] = {
        **dict(zip(("x", "y", "width", "height"), face.box, strict=True)),
        **face.scores,
        "detection": face.detection,
        "emotion": face.emotion,
        "confidence": face.confidence,
        "verdict": face.verdict,
        "quality": " ".join(face.quality),
    }
    if isinstance(face, TrackedFace):
        values["track"] = face.track
    return values
