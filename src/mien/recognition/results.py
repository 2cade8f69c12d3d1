"""What recognition says of a picture or a frame: typed, immutable, and as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mien.recognition.detection import Points
from mien.recognition.quality import Quality

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["ok", "no_face", "unreadable"]
"""`ok`: it has faces; `no_face`: none were found; `unreadable`: it is no usable picture."""

UNCERTAIN = "uncertain"
"""The verdict on a face whose likeliest emotion is less likely than the threshold."""


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
        uncertain: `confidence` is below the threshold of the recognizer.
        quality: what makes the face hard to read: any of `small`, `blurred`, `dark`.
        landmarks: x and y of the person's right eye (left in the picture), left eye, nose, right
            and left corner of the mouth, in pixels of the picture; None where the detector knows
            none.
    """

    box: tuple[int, int, int, int]
    detection: float
    emotion: str
    confidence: float
    scores: Mapping[str, float]
    uncertain: bool = False
    quality: tuple[Quality, ...] = ()
    landmarks: Points | None = None

    @property
    def verdict(self) -> str:
        """The emotion, or `uncertain`."""
        return UNCERTAIN if self.uncertain else self.emotion

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "box": list(self.box),
            "detection": self.detection,
            "emotion": self.emotion,
            "confidence": self.confidence,
            "scores": dict(self.scores),
            "uncertain": self.uncertain,
            "quality": list(self.quality),
            "landmarks": self.landmarks and [list(point) for point in self.landmarks],
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

    def to_dataframe(self) -> pd.DataFrame:
        """Return a pandas table with a row a face; see `mien.to_dataframe`."""
        from mien.recognition.adapters import to_dataframe

        return to_dataframe([self])

    def to_deepface(self) -> list[dict[str, Any]]:
        """Return what DeepFace's `analyze` does; see `mien.recognition.adapters`."""
        from mien.recognition.adapters import to_deepface

        return to_deepface(self)

    def to_fer(self) -> list[dict[str, Any]]:
        """Return what fer's `detect_emotions` does; see `mien.recognition.adapters`."""
        from mien.recognition.adapters import to_fer

        return to_fer(self)

    def to_fex(self) -> pd.DataFrame:
        """Return a pandas table as Py-Feat's; see `mien.to_fex`."""
        from mien.recognition.adapters import to_fex

        return to_fex([self])


@dataclass(frozen=True)
class TrackedFace(Face):
    """A face of a video; `emotion`, `confidence` and `scores` are smoothed over time.

    Attributes:
        track: who it is: the same number from frame to frame, from 1 on.
        raw: the probabilities from this frame alone.
    """

    track: int = 0
    raw: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"track": self.track, **super().to_dict(), "raw": dict(self.raw)}


@dataclass(frozen=True)
class Frame(Picture):
    """A frame of a video and its faces.

    Attributes:
        image: the file, or the device as `device 0`.
        faces: `TrackedFace`s, from left to right.
        index: the frame's number in the stream, from 0 on.
        seconds: when it is shown, by the stream's own timestamps.
        pixels: uint8, H×W×3, RGB; None unless they were asked for.
    """

    index: int = 0
    seconds: float = 0.0
    pixels: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without the pixels."""
        return {"frame": self.index, "seconds": self.seconds, **super().to_dict()}
