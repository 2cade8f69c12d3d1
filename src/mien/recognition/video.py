"""From a video to a record for every frame: faces, who is who, and scores smoothed over time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from typing import Any

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.recognition.detectors import FaceOptions
from mien.recognition.recognizer import Recognizer
from mien.recognition.results import Face, Frame, Picture, TrackedFace
from mien.recognition.stream import StreamFrame, VideoStream
from mien.recognition.tracking import Smoother, Tracker

SMOOTH = 0.5
"""The default time constant of smoothing, in seconds."""

SEARCH_SIDE = 480
"""At what size frames are searched unless something else is asked for: at 640×480 YuNet then finds
faces from about 13 pixels on, in less than half of the time that a photo's two searches take."""

MAX_GAP = 1.0
"""A face that was not seen for so many seconds is forgotten."""


def analyze_video(
    source: str | os.PathLike[str] | int,
    recognizer: Recognizer | None = None,
    *,
    every: int = 1,
    smooth: float = SMOOTH,
    pixels: bool = False,
    workers: int = 1,
) -> Iterator[Frame]:
    """Yield a record for every frame of a video, with faces or without.

    A video that breaks off yields its frames up to there and then one of the status `unreadable`,
    whose `reason` says so. Memory does not grow with its length.

    Args:
        source: the path of a video file, or a camera's number.
        recognizer: what finds and reads the faces; None: the default model and detector, which
            searches frames at `SEARCH_SIDE`.
        every: take every n-th frame only, the first included; there is no record of the others.
        smooth: the seconds in which the weight of a face's earlier scores falls to 1/e; 0 takes
            each frame's scores as they are. The frame's own scores stay in `TrackedFace.raw`.
        pixels: keep each frame's pixels in its record, for `mien.annotate`.
        workers: frames that are searched at once, in threads, while the next ones are decoded. A
            detector of your own must stand being called from several threads if this is more than
            1.

    Raises:
        MienError: the video cannot be opened (at once, not at the first frame), or a value is out
            of its range.

    Example:
        >>> import mien
        >>> for frame in mien.analyze_video("talk.mp4", every=5):  # doctest: +SKIP
        ...     print(frame.seconds, [(face.track, face.emotion) for face in frame.faces])
    """
    _check(every, smooth, workers)
    recognizer = recognizer or Recognizer(faces=FaceOptions(search_side=SEARCH_SIDE))
    stream = VideoStream(source)
    return _closing(stream, _records(stream, recognizer, every, smooth, pixels, workers))


def recognize(
    stream: VideoStream,
    recognizer: Recognizer,
    *,
    every: int = 1,
    smooth: float = SMOOTH,
    pixels: bool = False,
    workers: int = 1,
) -> Iterator[Frame]:
    """Do what `analyze_video` does with a stream that is open and stays so."""
    _check(every, smooth, workers)
    return _records(stream, recognizer, every, smooth, pixels, workers)


def _check(every: int, smooth: float, workers: int) -> None:
    if every < 1:
        raise MienError(f"every n-th frame: n must be 1 or more, not {every}")
    if not 0 <= smooth < float("inf"):
        raise MienError(f"the seconds of smoothing must be 0 or more, not {smooth}")
    if workers < 1:
        raise MienError(f"frames that are searched at once: 1 or more, not {workers}")


def _closing(stream: VideoStream, frames: Iterator[Frame]) -> Iterator[Frame]:
    with stream:
        yield from frames


def _records(
    stream: VideoStream,
    recognizer: Recognizer,
    every: int,
    smooth: float,
    pixels: bool,
    workers: int,
) -> Iterator[Frame]:
    tracker, smoother = Tracker(MAX_GAP), Smoother(smooth)
    last: StreamFrame | None = None
    for last, picture in _searched(stream.read(every), recognizer, workers):
        if picture is None:
            reason = "the frame cannot be decoded"
            yield Frame(
                stream.name, "unreadable", 0, 0, (), reason, index=last.index, seconds=last.seconds
            )
            continue
        faces = _tracked(picture, last.seconds, recognizer.uncertain_below, tracker, smoother)
        yield Frame(
            stream.name,
            picture.status,
            picture.width,
            picture.height,
            faces,
            picture.reason,
            last.index,
            last.seconds,
            last.pixels if pixels else None,
        )
    if stream.reason is not None:
        index, seconds = (0, 0.0) if last is None else (last.index + 1, last.seconds)
        yield Frame(stream.name, "unreadable", 0, 0, (), stream.reason, index, seconds)


def _searched(
    frames: Iterator[StreamFrame], recognizer: Recognizer, workers: int
) -> Iterator[tuple[StreamFrame, Picture | None]]:
    """Yield each frame, in order, with what was found in it, or None if it was not decoded.

    What is ready is not held back until all workers are busy: a camera's result comes with its
    next frame.
    """

    def search(frame: StreamFrame) -> Picture | None:
        return None if frame.pixels is None else recognizer.analyze(frame.pixels)

    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[tuple[StreamFrame, Future[Picture | None]]] = deque()
        for frame in frames:
            ahead.append((frame, pool.submit(search, frame)))
            while ahead and (len(ahead) > workers or ahead[0][1].done()):
                ready, found = ahead.popleft()
                yield ready, found.result()
        for ready, found in ahead:
            yield ready, found.result()


def _tracked(
    picture: Picture, seconds: float, uncertain_below: float, tracker: Tracker, smoother: Smoother
) -> tuple[TrackedFace, ...]:
    numbers = tracker.update([face.box for face in picture.faces], seconds)
    smoother.forget(seconds - tracker.max_gap)
    faces = []
    for face, track in zip(picture.faces, numbers, strict=True):
        raw = dict(face.scores)
        values = smoother.update(track, list(raw.values()), seconds)
        scores = dict(zip(EMOTIONS, map(float, values), strict=True))
        emotion = max(scores, key=scores.__getitem__)
        smoothed: dict[str, Any] = {
            "emotion": emotion,
            "confidence": scores[emotion],
            "scores": scores,
            "uncertain": scores[emotion] < uncertain_below,
        }
        kept = {part.name: getattr(face, part.name) for part in fields(Face)}
        faces.append(TrackedFace(**{**kept, **smoothed}, track=track, raw=raw))
    return tuple(faces)
