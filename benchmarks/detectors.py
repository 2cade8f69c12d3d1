"""What detectors find on real photos, and how long they take, side by side.

    python benchmarks/detectors.py PHOTOS [--detector NAME]... [--overlap 0.4] [--seconds 2]

PHOTOS is a folder with pictures and `boxes.json`, which says where their faces are:
`{"group.jpg": [[x, y, width, height], ...], ...}`, in pixels. NAME is haar, yunet, auto, the path
of YuNet's .onnx file, or MODULE:FUNCTION of your own (see docs/recognition.md), for instance
`fer_package:find_faces` here, which searches as the package `fer` does.

A face is found where a detection overlaps it, as intersection over union, by at least --overlap.
The pairs that overlap most come first, and each face and each detection is in one pair at most. A
face without a pair is missed, a detection without one is false. The time is that of detecting in a
decoded picture; the detectors take turns, round after round.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference import quartiles, this_machine
from mien.errors import MienError
from mien.images.decode import decode
from mien.recognition.detection import Box, Detector, intersection_over_union
from mien.recognition.detectors import DETECTORS, detect, detector_by_name

Photo = tuple[NDArray[np.uint8], list[Box]]  # the pixels, and the boxes of its faces in them


def load(folder: Path) -> list[Photo]:
    """Return the photos that `boxes.json` names, decoded as `mien predict` does."""
    photos = []
    for name, boxes in json.loads((folder / "boxes.json").read_text()).items():
        decoded = decode(folder / name)
        across, down = decoded.scale
        faces = [(x / across, y / down, w / across, h / down) for x, y, w, h in boxes]
        photos.append((decoded.pixels, faces))
    return photos


def detector_of(name: str) -> Detector:
    """Return a detector by its name, or the function MODULE:FUNCTION."""
    module, colon, function = name.partition(":")
    if colon and name not in DETECTORS and not Path(name).exists():
        made: Detector = getattr(importlib.import_module(module), function)
        return made
    return detector_by_name(name)


def found(faces: Sequence[Box], boxes: Sequence[Box], overlap: float) -> int:
    """Return how many faces have a box of their own that overlaps them enough."""
    pairs = [
        (intersection_over_union(f, b), i, j)
        for i, f in enumerate(faces)
        for j, b in enumerate(boxes)
    ]
    met: set[int] = set()
    used: set[int] = set()
    for shared, face, box in sorted(pairs, reverse=True):
        if shared >= overlap and face not in met and box not in used:
            met.add(face)
            used.add(box)
    return len(met)


def count(detector: Detector, photos: Sequence[Photo], overlap: float) -> tuple[int, int, int]:
    """Return how many faces are found and missed, and how many detections are false."""
    hits = faces = detections = 0
    for pixels, boxes in photos:
        seen = [face.box for face in detect(detector, pixels)]
        hits += found(boxes, seen, overlap)
        faces += len(boxes)
        detections += len(seen)
    return hits, faces - hits, detections - hits


def search(detector: Detector, photos: Sequence[Photo]) -> None:
    """Detect in every photo."""
    for pixels, _ in photos:
        detect(detector, pixels)


def load_detectors(names: Sequence[str]) -> dict[str, Detector]:
    """Return the detectors that there are, after saying why others are not."""
    detectors = {}
    for name in names:
        try:
            detectors[Path(name).stem] = detector_of(name)
        except MienError as error:
            print(f"{name} is left out: {error.message}")
        except (ImportError, AttributeError) as error:
            print(f"{name} is left out: {error}")
    return detectors


def main() -> None:
    """Compare the detectors that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument(
        "--detector", action="append", help="again for each (default: haar, yunet and auto)"
    )
    parser.add_argument("--overlap", type=float, default=0.4)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each detector")
    options = parser.parse_args()

    try:
        photos = load(options.photos)
    except (OSError, ValueError, MienError) as error:
        sys.exit(f"{options.photos}: {error}")
    warnings.simplefilter("ignore")  # auto says which detector it is not
    sides = sorted(max(pixels.shape[:2]) for pixels, _ in photos)
    print(this_machine())
    print(
        f"{len(photos)} photos, longer sides {sides[0]} to {sides[-1]} pixels;"
        f" a face is found at an overlap of {options.overlap:g}"
    )
    detectors = load_detectors(options.detector or list(DETECTORS))
    works = [functools.partial(search, detector, photos) for detector in detectors.values()]
    times = quartiles(works, options.seconds)
    print(f"{'detector':34} found missed false   a picture")
    for (name, detector), row in zip(detectors.items(), times, strict=True):
        hits, missed, false = count(detector, photos, options.overlap)
        low, median, high = (1e3 * seconds / len(photos) for seconds in row)
        print(
            f"{name:34} {hits:5} {missed:6} {false:5}"
            f" {median:9.1f} ms  (quartiles {low:.1f} to {high:.1f})"
        )


if __name__ == "__main__":
    main()
