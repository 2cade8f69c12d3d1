"""Who is who from frame to frame, and scores that do not flicker.

Tracking follows SORT (Bewley et al., Simple Online and Realtime Tracking, ICIP 2016): each track
predicts where its face will be at constant velocity, and the boxes of a frame go to the tracks
whose predictions they overlap most. It differs in three ways. Time is in seconds and not in frames,
since frames may be left out or come at varying intervals. The Kalman filter's gain is fixed (an
alpha-beta filter). Pairs are taken greedily, the best first, as in Bochinski et al.'s IOU tracker
(AVSS 2017): faces overlap so little that the optimal assignment is nearly always the same. Faces
are not recognized: who is away for longer than `max_gap` seconds comes back with a new number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.recognition.detection import intersection_over_union

OVERLAP = 0.3
"""SORT's: a box goes to no track whose prediction it overlaps less (intersection over union)."""

_VELOCITY_GAIN = 0.3
_LONGEST_PREDICTION = 0.5  # seconds: a velocity is a guess that soon is none


@dataclass
class _Track:
    number: int
    box: NDArray[np.float64]  # center x, center y, width, height
    velocity: NDArray[np.float64]  # of the center, in pixels a second
    seconds: float

    def predicted(self, seconds: float) -> tuple[float, ...]:
        """Return where the box should be, as x, y, width, height."""
        ahead = min(seconds - self.seconds, _LONGEST_PREDICTION)
        center = self.box[:2] + self.velocity * ahead
        return (*(center - self.box[2:] / 2), *self.box[2:])

    def move(self, box: NDArray[np.float64], seconds: float) -> None:
        """Take the box that belongs to this track at that time."""
        passed = seconds - self.seconds
        if passed > 0:
            residual = box[:2] - self.box[:2] - self.velocity * passed
            self.velocity = self.velocity + _VELOCITY_GAIN * residual / passed
        self.box, self.seconds = box, seconds


class Tracker:
    """Numbers the faces of successive frames.

    Args:
        max_gap: seconds after which a face that is not seen is forgotten.
    """

    def __init__(self, max_gap: float = 1.0) -> None:
        self.max_gap = max_gap
        self._tracks: list[_Track] = []
        self._count = 0

    def update(self, boxes: Sequence[Sequence[float]], seconds: float) -> list[int]:
        """Return the number of the track of each box, from 1 on.

        Args:
            boxes: x, y, width, height of the faces of one frame.
            seconds: the frame's time, not before that of the last one.
        """
        self._tracks = [t for t in self._tracks if seconds - t.seconds <= self.max_gap]
        overlaps = [
            (intersection_over_union(box, track.predicted(seconds)), index, place)
            for place, track in enumerate(self._tracks)
            for index, box in enumerate(boxes)
        ]
        owners: dict[int, _Track] = {}
        taken: set[int] = set()
        for overlap, index, place in sorted(overlaps, key=lambda pair: (-pair[0], pair[1:])):
            if overlap < OVERLAP:
                break
            if index not in owners and place not in taken:
                owners[index] = self._tracks[place]
                taken.add(place)
        return [self._number(owners.get(index), box, seconds) for index, box in enumerate(boxes)]

    def _number(self, track: _Track | None, box: Sequence[float], seconds: float) -> int:
        x, y, width, height = box
        centered = np.array([x + width / 2, y + height / 2, width, height], np.float64)
        if track is None:
            self._count += 1
            track = _Track(self._count, centered, np.zeros(2), seconds)
            self._tracks.append(track)
        else:
            track.move(centered, seconds)
        return track.number


class Smoother:
    """An exponential mean of each track's scores over time.

    A score's weight falls to 1/e in `time_constant` seconds, however many frames come in them.

    Args:
        time_constant: in seconds; 0 smooths nothing.
    """

    def __init__(self, time_constant: float = 0.5) -> None:
        self.time_constant = time_constant
        self._means: dict[int, tuple[float, NDArray[np.float64]]] = {}

    def update(self, track: int, scores: Sequence[float], seconds: float) -> NDArray[np.float64]:
        """Return the smoothed scores of a track, given those of a frame at `seconds`."""
        values = np.asarray(scores, np.float64)
        if track in self._means and self.time_constant > 0:
            before, mean = self._means[track]
            weight = 1 - math.exp(-max(seconds - before, 0) / self.time_constant)
            values = mean + weight * (values - mean)
        self._means[track] = (seconds, values)
        return values

    def forget(self, before: float) -> None:
        """Drop the tracks that were last seen before a time, so that memory does not grow."""
        self._means = {track: kept for track, kept in self._means.items() if kept[0] >= before}
