"""Annotated video out: the frames with boxes and labels, at the times that they had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.errors import MienError, nearest
from mien.recognition.annotate import annotate
from mien.recognition.results import Frame

CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""The suffixes that can be written, with what every wheel of OpenCV encodes."""

_LONGEST_STILL = 60.0  # seconds: a longer gap between two timestamps is a mistake of the file


def check_suffix(file: Path) -> None:
    """Refuse a file whose format cannot be written.

    Raises:
        MienError: naming those that can.
    """
    if file.suffix.lower() not in CODECS:
        raise MienError(
            f"{file} is no video that can be written", hint=nearest(file.suffix, CODECS)
        )


class AnnotatedVideo:
    """Writes frames with their faces marked.

    A video file has one rate, and a stream perhaps not: frames are repeated or left out so that
    each is shown when it was.

    Args:
        file: the target, with one of the suffixes of `CODECS`.
        rate: frames a second.
    """

    def __init__(self, file: Path, rate: float) -> None:
        check_suffix(file)
        self._file = file
        self._rate = rate
        self._writer: Any = None
        self._size = (0, 0)
        self._start = 0.0
        self._written = 0

    def add(self, frame: Frame) -> None:
        """Write a frame that has its pixels; others are passed over."""
        if frame.pixels is None:
            return
        if self._writer is None:
            self._open(frame)
        due = round((frame.seconds - self._start) * self._rate) + 1
        copies = min(due - self._written, round(_LONGEST_STILL * self._rate))
        if copies <= 0:
            return
        drawn = np.asarray(annotate(frame.pixels, frame, compact=True))
        image = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)[: self._size[1], : self._size[0]]
        if image.shape[:2] != self._size[::-1]:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        for _ in range(copies):
            self._writer.write(image)
        self._written = due

    def close(self) -> None:
        """Finish the file.

        Raises:
            MienError: there was no frame to write.
        """
        if self._writer is None:
            raise MienError("there is no frame of which an annotated video could be made")
        self._writer.release()

    def _open(self, frame: Frame) -> None:
        assert frame.pixels is not None
        height, width = frame.pixels.shape[:2]
        # The encoders take even sides only.
        self._size = (max(width - width % 2, 2), max(height - height % 2, 2))
        self._start = frame.seconds
        code = cv2.VideoWriter.fourcc(*CODECS[self._file.suffix.lower()])
        self._writer = cv2.VideoWriter(str(self._file), code, self._rate, self._size)
        if not self._writer.isOpened():
            raise MienError(f"{self._file} cannot be written as a video of {width}×{height} pixels")
