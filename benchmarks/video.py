"""Frames a second of `analyze_video` at 640×480: by detector, on one core's worth and on all.

    python benchmarks/video.py [--detectors haar yunet] [--frames 150] [--photo FILE]

Makes a video (Motion JPEG) in which the photo moves, and reads it to its end with each detector,
with one frame searched at a time and with as many as there are cores. Cameras give 25 to 30.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from mien import SAMPLE, FaceOptions, Recognizer, analyze_video
from mien.errors import MienError
from mien.images.decode import decode
from mien.recognition.recognizer import cores
from mien.recognition.video import SEARCH_SIDE

SIZE = (640, 480)


def make_video(photo: Path, frames: int, file: Path) -> None:
    """Write the photo as it moves to the right and back."""
    pixels = decode(photo).pixels[..., ::-1]
    scale = min(SIZE[0] / pixels.shape[1], SIZE[1] / pixels.shape[0])
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 25, SIZE)
    for index in range(frames):
        shift = np.array([[scale, 0, 80 * np.sin(index / 10) + 60], [0, scale, 0]])
        writer.write(cv2.warpAffine(pixels, shift, SIZE, borderMode=cv2.BORDER_REPLICATE))
    writer.release()


def main() -> None:
    """Measure each detector and print a line of a table for it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--detectors", nargs="+", default=["haar", "yunet"])
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--photo", type=Path, default=SAMPLE)
    arguments = parser.parse_args()
    print("| detector | at once | frames/s | frames with a face |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "moving.avi")
        make_video(arguments.photo, arguments.frames, file)
        for detector in arguments.detectors:
            recognizer = Recognizer(detector=detector, faces=FaceOptions(search_side=SEARCH_SIDE))
            next(analyze_video(file, recognizer))  # to warm up
            for workers in sorted({1, cores()}):
                start = time.perf_counter()
                seen = [bool(f.faces) for f in analyze_video(file, recognizer, workers=workers)]
                rate = len(seen) / (time.perf_counter() - start)
                print(f"| {Path(detector).stem} | {workers} | {rate:.1f} | {np.mean(seen):.0%} |")


if __name__ == "__main__":
    try:
        main()
    except MienError as error:
        sys.exit(f"error: {error.message}")
