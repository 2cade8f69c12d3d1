"""What recognition says of a picture: typed, immutable, and as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["ok", "no_face", "unreadable"]
"""`ok`: it has faces; `no_face`: none were found; `unreadable`: it is no usable picture."""


@dataclass(frozen=True)
class Face:
    """A face and what it expresses.

    Attributes:
        box: x, y, width, height in pixels of the picture as a viewer shows it (after its EXIF
            rotation), inside the picture.
        detection: how sure the detector is that this is a face, 0 to 1.
        emotion: the likeliest of `mien.EMOTIONS`.
        confidence: the probability of that emotion, 0 to 1.
        scores: the probability of every emotion, in the order of `mien.EMOTIONS`; sum 1.
    """

    box: tuple[int, int, int, int]
    detection: float
    emotion: str
    confidence: float
    scores: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "box": list(self.box),
            "detection": self.detection,
            "emotion": self.emotion,
            "confidence": self.confidence,
            "scores": dict(self.scores),
        }


@dataclass(frozen=True)
class Picture:
    """A picture and its faces.

    Attributes:
        image: the path as it was given; `<array>`, `<bytes>` or `<image>` for what has none.
        status: `ok`, `no_face` or `unreadable`.
        width: pixels as a viewer shows it; 0 where the picture is unreadable.
        height: likewise.
        faces: from left to right.
        reason: why the picture is unreadable, else None.
    """

    image: str
    status: Status
    width: int
    height: int
    faces: tuple[Face, ...] = ()
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `reason` only where the picture is unreadable."""
        values: dict[str, Any] = {
            "image": self.image,
            "status": self.status,
            "width": self.width,
            "height": self.height,
            "faces": [face.to_dict() for face in self.faces],
        }
        if self.reason is not None:
            values["reason"] = self.reason
        return values
