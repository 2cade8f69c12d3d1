"""Frames and their times from video files and cameras, through OpenCV and FFmpeg."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.images.decode import MAX_PIXELS

FALLBACK_RATE = 25.0
"""Frames a second where a file or a camera does not say."""

_LAST_DEVICE = 2**31 - 1  # OpenCV takes no larger number
_FASTEST = 1000.0  # What a file says beyond this is wrong.
# A count in a file's header may be an estimate, and the last frames of some files do not decode.
_MISSING_FRAMES = 2
_MISSING_SHARE = 0.01


@dataclass(frozen=True)
class StreamFrame:
    """A frame as it was decoded.

    Attributes:
        index: from 0 on, those that are left out included.
        seconds: when it is shown; it grows from frame to frame.
        pixels: uint8, H×W×3, RGB, upright; None where the frame cannot be decoded.
    """

    index: int
    seconds: float
    pixels: NDArray[np.uint8] | None


class VideoStream:
    """An open video file or camera; a context manager.

    Args:
        source: the path of a file, or a camera's number. Nothing is opened over a network.

    Attributes:
        name: the path, or `device 0`.
        live: it is a camera.
        rate: frames a second, as the source says, or `FALLBACK_RATE`.
        frames: how many frames the file says it has; None where it does not, and for cameras.
        reason: once the frames have ended: why too early; None if they did not.

    Raises:
        MienError: there is no such file or camera, it is no video that can be read, or its frames
            have more pixels than a picture may have.
    """

    def __init__(self, source: str | os.PathLike[str] | int) -> None:
        self.live = isinstance(source, int)
        self.name = f"device {source}" if isinstance(source, int) else os.fspath(source)
        self.reason: str | None = None
        self._capture = _open(source)
        self._check_size()
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate = rate if 0 < rate <= _FASTEST else FALLBACK_RATE
        count = float(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        known = not self.live and math.isfinite(count) and count > 0
        self.frames: int | None = int(count) if known else None

    def __enter__(self) -> VideoStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file or the camera back."""
        self._capture.release()

    def read(self, every: int = 1) -> Iterator[StreamFrame]:
        """Yield every n-th frame, from the first on; then `reason` says whether all came.

        The times are the stream's own timestamps (a camera's: since its first frame). Where those
        are missing or go backward, a frame counts as shown one interval after the last.
        """
        index, seconds, start = 0, 0.0, 0.0
        while self._capture.grab():
            if self.live:
                now = time.monotonic()
                start = start or now
                seconds = now - start
            else:
                seconds = self._timestamp(seconds, index)
            if index % every == 0:
                yield StreamFrame(index, seconds, self._retrieve())
            index += 1
        self.reason = self._shortfall(index)

    def _timestamp(self, last: float, index: int) -> float:
        seconds = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        if index == 0:
            return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
        if not math.isfinite(seconds) or seconds <= last:
            return last + 1 / self.rate
        return seconds

    def _check_size(self) -> None:
        """Refuse frames that would not fit, before the first one is decoded."""
        width, height = (
            int(self._capture.get(side))
            for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if width * height > MAX_PIXELS:
            self.close()
            raise MienError(
                f"{self.name} has frames of {width}×{height} pixels, "
                f"at most {MAX_PIXELS // 1_000_000} million are decoded"
            )

    def _retrieve(self) -> NDArray[np.uint8] | None:
        done, pixels = self._capture.retrieve()
        if not done or pixels is None or not pixels.size:
            return None
        code = cv2.COLOR_BGR2RGB if pixels.ndim == 3 else cv2.COLOR_GRAY2RGB
        rgb: NDArray[np.uint8] = cv2.cvtColor(pixels, code)
        return rgb

    def _shortfall(self, read: int) -> str | None:
        if self.live:
            return f"{self.name} gives no more frames"
        if read == 0:
            return "no frame can be decoded"
        if self.frames is None:
            return None
        missing = self.frames - read
        if missing <= max(_MISSING_FRAMES, _MISSING_SHARE * self.frames):
            return None
        return f"the file breaks off after {read} of {self.frames} frames"


def _open(source: str | os.PathLike[str] | int) -> Any:
    if isinstance(source, int):
        capture = _capture(source) if 0 <= source <= _LAST_DEVICE else None
        if capture is None or not capture.isOpened():
            raise MienError(
                f"there is no camera {source}, or another program uses it",
                hint="cameras are numbered from 0",
            )
        return capture
    path = Path(source)
    if not path.is_file():
        raise MienError(f"there is no video {path}")
    capture = _capture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise MienError(
            f"{path} is no video that can be read, or is damaged at its start or end",
            hint="ffmpeg may be able to repair it; an .mp4 whose end is missing has lost its index",
        )
    return capture


def _capture(*source: Any) -> Any:
    # A file with a playlist would make FFmpeg open addresses. What FFmpeg and OpenCV write to
    # standard error is said by a MienError. OpenCV reads the variables once, when it first opens
    # a video.
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    log = cv2.utils.logging
    level = log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(*source)
    finally:
        log.setLogLevel(level)
