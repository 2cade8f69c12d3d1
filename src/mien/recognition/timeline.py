"""What a video says as a whole: its tracks in figures, and as one picture over time."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from mien.emotions import EMOTIONS
from mien.recognition.annotate import COLORS
from mien.recognition.results import Frame, TrackedFace

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 1280, 110, 20, 56, 44
_STRIP, _SPACE = 84, 14
_MOST_STRIPS = 12
_BACKGROUND, _INK, _EMPTY = "white", "#222226", "#ECECEF"
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


@dataclass
class _Track:
    seconds: array[float] = field(default_factory=lambda: array("d"))
    scores: array[float] = field(default_factory=lambda: array("f"))

    def table(self) -> NDArray[np.float32]:
        """Return the smoothed scores, float32, frames × 7."""
        return np.asarray(self.scores, np.float32).reshape(-1, len(EMOTIONS))


class Timeline:
    """Collects frames; it keeps 36 bytes of each face.

    Attributes:
        frames: how many frames were added.
        with_faces: how many of them have faces.
        end: the last frame's time in seconds.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.with_faces = 0
        self.end = 0.0
        self._tracks: dict[int, _Track] = {}
        self._interval = 0.0  # the longest between two frames, in seconds

    def add(self, frame: Frame) -> None:
        """Take a frame in; they come in the order of their times."""
        if self.frames:
            self._interval = max(self._interval, frame.seconds - self.end)
        self.frames += 1
        self.with_faces += bool(frame.faces)
        self.end = max(self.end, frame.seconds)
        for face in frame.faces:
            if isinstance(face, TrackedFace):
                track = self._tracks.setdefault(face.track, _Track())
                track.seconds.append(frame.seconds)
                track.scores.extend(face.scores[emotion] for emotion in EMOTIONS)

    def summary(self) -> list[dict[str, Any]]:
        """Return each track as plain JSON values, in the order of their numbers.

        `first` and `last` are seconds, `frames` those in which the face is seen, `scores` the
        means of the smoothed scores over them, and `emotion` the one with the largest mean.
        """
        result = []
        for number, track in sorted(self._tracks.items()):
            means = dict(zip(EMOTIONS, map(float, track.table().mean(axis=0)), strict=True))
            result.append(
                {
                    "track": number,
                    "first": track.seconds[0],
                    "last": track.seconds[-1],
                    "frames": len(track.seconds),
                    "emotion": max(means, key=means.__getitem__),
                    "scores": means,
                }
            )
        return result

    def draw(self) -> Image.Image:
        """Return the timeline as a picture: a strip a track, the seven scores stacked over time.

        Of many tracks the longest are drawn.
        """
        longest = sorted(self._tracks, key=lambda n: (-len(self._tracks[n].seconds), n))
        shown = sorted(longest[:_MOST_STRIPS])
        height = _TOP + max(len(shown), 1) * (_STRIP + _SPACE) + _BOTTOM
        image = Image.new("RGB", (_WIDTH, height), _BACKGROUND)
        draw = ImageDraw.Draw(image)
        font = ImageFont.load_default(16)
        _legend(draw, font)
        span = max(self.end, 0.1)
        for row, number in enumerate(shown):
            top = _TOP + row * (_STRIP + _SPACE)
            image.paste(Image.fromarray(self._strip(self._tracks[number], span)), (_LEFT, top))
            text = f"track {number}"
            draw.text((_LEFT - 12, top + _STRIP / 2), text, fill=_INK, font=font, anchor="rm")
        if not shown:
            draw.text((_LEFT, _TOP + 20), "no face in any frame", fill=_INK, font=font)
        left_out = len(self._tracks) - len(shown)
        _axis(draw, font, height - _BOTTOM, span, f"{left_out} shorter tracks" if left_out else "")
        return image

    def _strip(self, track: _Track, span: float) -> NDArray[np.uint8]:
        """Return a track's strip, uint8 H×W×3: each column shows the last frame before it."""
        width = _WIDTH - _LEFT - _RIGHT
        times = (np.arange(width) + 0.5) / width * span
        seconds = np.asarray(track.seconds)
        last = np.searchsorted(seconds, times, side="right") - 1
        # A face is there until the next frame; a column may be longer than that.
        stays = max(self._interval, span / width)
        visible = (last >= 0) & (times - seconds[np.maximum(last, 0)] <= stays)
        stacked = np.cumsum(track.table()[np.maximum(last, 0)], axis=1).T[:-1]
        levels = 1 - (np.arange(_STRIP) + 0.5) / _STRIP
        which = (levels[None, :, None] > stacked[:, None, :]).sum(axis=0)
        palette = np.array([ImageColor.getrgb(COLORS[e]) for e in EMOTIONS], np.uint8)
        strip: NDArray[np.uint8] = palette[which]
        strip[:, ~visible] = ImageColor.getrgb(_EMPTY)
        return strip


def _legend(draw: ImageDraw.ImageDraw, font: Any) -> None:
    x = float(_LEFT)
    for emotion in EMOTIONS:
        draw.rectangle((x, 20, x + 16, 36), fill=COLORS[emotion], outline=_INK)
        draw.text((x + 24, 28), emotion, fill=_INK, font=font, anchor="lm")
        x += 24 + draw.textlength(emotion, font=font) + 26


def _axis(draw: ImageDraw.ImageDraw, font: Any, top: float, span: float, note: str) -> None:
    width = _WIDTH - _LEFT - _RIGHT
    step = next((step for step in _STEPS if span / step <= 12), _STEPS[-1])
    while span / step > 12:
        step *= 2
    for tick in range(int(span / step) + 1):
        x = _LEFT + tick * step / span * width
        draw.line((x, top - _SPACE, x, top - _SPACE + 6), fill=_INK)
        draw.text((x, top + 4), f"{tick * step:g} s", fill=_INK, font=font, anchor="mm")
    draw.text((_WIDTH - _RIGHT, top + 28), note, fill=_INK, font=font, anchor="rm")
