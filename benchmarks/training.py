"""Training beside the usual pipeline: images a second, and seconds to a validation accuracy.

    python benchmarks/training.py DATA [--recipe cnn5 --recipe foldnet] [--seconds 10]
    python benchmarks/training.py DATA --recipe foldnet --until 0.65 [--limit 3600]

DATA is a data set that `mien data prepare` made. The usual pipeline trains the recipe's network on
the same images with the same augmentation (but elastic distortions), filter, batch size and label
smoothing: Pillow image by image in the workers of a DataLoader, float32 in PyTorch's own layout,
SGD with momentum and a learning rate that stays, one `.item()` a batch. Both take turns, and
PyTorch has as many threads in each. Images a second are those at the recipe's final size; `--until`
trains the recipe as it is, validation included, and the usual pipeline for at most `--limit`
seconds; what it would need beyond is extrapolated from its history and marked so.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from mien.data import cache
from mien.images.augment import Augmentation
from mien.training import loop
from mien.training.batches import labeled_rows
from mien.training.device import Device
from mien.training.recipe import Recipe, load
from mien.training.run import Row, build_network

WARM_UP = 2  # steps that are not timed


class EndedError(Exception):
    """Raised to leave a training."""


class Faces(TorchDataset[tuple[Tensor, int]]):
    """One image at a time, augmented by Pillow as `torchvision.transforms` does."""

    def __init__(self, data: cache.Dataset, split: str, recipe: Recipe, *, augmented: bool) -> None:
        rows = labeled_rows(data, split)
        self.images = np.asarray(data.images[rows])
        self.labels = np.asarray(data.labels[rows])
        self.preprocessing = recipe.input.preprocessing()
        self.augmentation = recipe.augmentation if augmented else None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return float32 C×H×W from 0 to 255 and the label."""
        image = self.images[index]
        if self.augmentation is not None:
            image = augmented(image, self.augmentation)
        image = self.preprocessing(image[None])[0]
        channels = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
        tensor = torch.tensor(channels, dtype=torch.float32)
        if self.augmentation is not None and random.random() < self.augmentation.erase:
            erase(tensor)
        return tensor, int(self.labels[index])


def augmented(pixels: NDArray[np.uint8], limits: Augmentation) -> NDArray[np.uint8]:
    """Return an image rotated, moved, scaled, sheared, mirrored, lighter and with more contrast."""
    image = Image.fromarray(pixels)
    width, height = image.size
    angle = math.radians(random.uniform(-limits.rotation, limits.rotation))
    zoom_x, zoom_y = (1 + random.uniform(-limits.zoom, limits.zoom) for _ in range(2))
    shear = random.uniform(-limits.shear, limits.shear)
    move_x, move_y = (random.uniform(-limits.shift, limits.shift) for _ in range(2))
    a, b = math.cos(angle) * zoom_x, (shear - math.sin(angle)) * zoom_y
    d, e = math.sin(angle) * zoom_x, math.cos(angle) * zoom_y
    x, y = width / 2, height / 2
    matrix = (
        *(a, b, x - a * x - b * y + move_x * width),
        *(d, e, y - d * x - e * y + move_y * height),
    )
    image = image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    if limits.flip and random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if limits.brightness:
        factor = 1 + random.uniform(-limits.brightness, limits.brightness)
        image = ImageEnhance.Brightness(image).enhance(factor)
    if limits.contrast:
        factor = 1 + random.uniform(-limits.contrast, limits.contrast)
        image = ImageEnhance.Contrast(image).enhance(factor)
    return np.asarray(image)


def erase(image: Tensor) -> None:
    """Put noise in a rectangle of C×H×W."""
    height, width = image.shape[1:]
    area = random.uniform(0.02, 0.25) * height * width
    aspect = math.exp(random.uniform(-1, 1) * math.log(3.3))
    tall = min(height, round(math.sqrt(area / aspect)))
    wide = min(width, round(math.sqrt(area * aspect)))
    top, left = random.randint(0, height - tall), random.randint(0, width - wide)
    noise = torch.rand(len(image), tall, wide) * 255
    image[:, top : top + tall, left : left + wide] = noise


class Usual:
    """The usual pipeline: a DataLoader, float32, one `.item()` a batch."""

    def __init__(self, data: cache.Dataset, recipe: Recipe, device: torch.device, workers: int):
        self.recipe, self.device = recipe, device
        training = recipe.training
        splits = (training.train_split, True), (training.validation_split, False)
        self.train, self.validation = (
            DataLoader(
                Faces(data, split, recipe, augmented=learned),
                training.batch_size,
                shuffle=learned,
                drop_last=learned,
                num_workers=workers,
                persistent_workers=workers > 0,
                pin_memory=device.type == "cuda",
            )
            for split, learned in splits
        )
        torch.manual_seed(training.seed)
        random.seed(training.seed)
        self.network: nn.Module = build_network(recipe).to(device)
        rate = 0.01 if recipe.optimizer.name.startswith("adam") else 0.05
        self.optimizer = torch.optim.SGD(self.network.parameters(), rate, momentum=0.9)

    def steps(self) -> Iterator[float]:
        """Train an epoch; yield each batch's loss."""
        self.network.train()
        for images, labels in self.train:
            images, labels = images.to(self.device), labels.to(self.device)
            logits = self.network(images)
            smoothing = self.recipe.training.label_smoothing
            loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            yield loss.item()

    @torch.inference_mode()
    def accuracy(self) -> float:
        """Return the validation accuracy."""
        self.network.eval()
        hits = [
            (self.network(images.to(self.device)).argmax(1).cpu() == labels).float()
            for images, labels in self.validation
        ]
        return float(torch.cat(hits).mean())


class Clock:
    """Tells the images a second of steps, but for the first."""

    def __init__(self, batch_size: int, seconds: float) -> None:
        self.batch_size, self.seconds = batch_size, seconds
        self.steps, self.began, self.now = 0, 0.0, 0.0

    def tick(self) -> None:
        """Count a step.

        Raises:
            EndedError: the time is over.
        """
        self.steps += 1
        self.now = time.perf_counter()
        if self.steps == WARM_UP:
            settle()
            self.began = time.perf_counter()
        if self.steps > WARM_UP + 1 and self.now - self.began > self.seconds:
            settle()
            self.now = time.perf_counter()
            raise EndedError

    def rate(self) -> float:
        """Return images a second."""
        return (self.steps - WARM_UP) * self.batch_size / (self.now - self.began)


def settle() -> None:
    """Wait for what a GPU has still to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def mien_run(
    data: cache.Dataset,
    recipe: Recipe,
    device: Device,
    *,
    on_step: Callable[[], None] = lambda: None,
    on_epoch: Callable[[Row], None] = lambda row: None,
) -> None:
    """Train with mien until one of the functions raises EndedError, or to the end."""
    with tempfile.TemporaryDirectory() as folder:
        run = loop.start(recipe, data, Path(folder) / "run")
        try:
            loop.train(run, data, device, progress=lambda *_: on_step(), on_epoch=on_epoch)
        except EndedError:
            return


def usual_rate(usual: Usual, clock: Clock) -> float:
    """Return the usual pipeline's images a second."""
    try:
        while True:
            for _ in usual.steps():
                clock.tick()
    except EndedError:
        return clock.rate()


def throughput(data: cache.Dataset, name: str, options: argparse.Namespace) -> None:
    """Print images a second of both, and the ratio."""
    recipe = load(name, ["training.sizes=[]"])
    device = Device(options.accelerator)
    usual = Usual(data, recipe, device.fabric().device, options.workers)
    rates: dict[str, list[float]] = {"mien": [], "usual": []}
    for _ in range(options.rounds):
        clock = Clock(recipe.training.batch_size, options.seconds)
        mien_run(data, recipe, device, on_step=clock.tick)
        rates["mien"].append(clock.rate())
        clock = Clock(recipe.training.batch_size, options.seconds)
        rates["usual"].append(usual_rate(usual, clock))
    ours, theirs = (max(rates[way]) for way in ("mien", "usual"))
    print(f"{name:16} {ours:10.1f} {theirs:10.1f} {ours / theirs:6.2f}", flush=True)


def time_to(data: cache.Dataset, name: str, options: argparse.Namespace) -> None:
    """Print the seconds to an accuracy of both, and the ratio."""
    overrides = [f"training.epochs={options.epochs}"] if options.epochs else []
    recipe = load(name, overrides)
    device = Device(options.accelerator)
    began = time.perf_counter()
    seconds = math.inf
    best = 0.0

    def on_epoch(row: Row) -> None:
        nonlocal seconds, best
        best = max(best, row["validation_accuracy"])
        if best >= options.until:
            seconds = time.perf_counter() - began
            raise EndedError

    mien_run(data, recipe, device, on_epoch=on_epoch)
    if seconds == math.inf:
        print(f"{name}: mien reached {best:.2%} only, in {time.perf_counter() - began:.0f} s")
        return
    usual = Usual(data, recipe, device.fabric().device, options.workers)
    history: list[tuple[float, float]] = []
    began = time.perf_counter()
    while not history or (history[-1][0] < options.limit and history[-1][1] < options.until):
        for _ in usual.steps():
            if time.perf_counter() - began > options.limit and len(history) > 2:
                break
        accuracy = usual.accuracy()
        history.append((time.perf_counter() - began, accuracy))
    theirs, how = history[-1][0], ""
    if max(accuracy for _, accuracy in history) < options.until:
        theirs, how = extrapolated(history, options.until), ", extrapolated"
    print(
        f"{name}: {options.until:.1%} after {seconds:.0f} s; usual after {theirs:.0f} s{how} "
        f"(best {max(a for _, a in history):.2%} in {history[-1][0]:.0f} s); ratio "
        f"{theirs / seconds:.2f}",
        flush=True,
    )


def extrapolated(history: list[tuple[float, float]], accuracy: float) -> float:
    """Return when a history's later half, accuracy against the logarithm of time, gets there."""
    times, accuracies = np.array(history[len(history) // 2 - 1 :]).T
    if len(times) < 2:
        return math.nan
    slope, level = np.polyfit(np.log(times), accuracies, 1)
    return math.exp((accuracy - level) / slope) if slope > 0 else math.inf


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="a prepared data set")
    parser.add_argument("--recipe", action="append", help="default: cnn5 and foldnet")
    parser.add_argument("--seconds", type=float, default=10, help="a round and a way")
    parser.add_argument("--rounds", type=int, default=2, help="the best counts")
    parser.add_argument("--until", type=float, help="a validation accuracy such as 0.65")
    parser.add_argument("--epochs", type=int, help="of mien's run with --until")
    parser.add_argument("--limit", type=float, default=3600, help="seconds of the usual pipeline")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of the DataLoader")
    parser.add_argument("--accelerator", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = cache.load(options.data)
    device = Device(options.accelerator).fabric().device
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {device}; torch {torch.__version__}, "
        f"{options.threads} threads, {options.workers} workers"
    )
    if options.until is None:
        print(f"{'images/s':16} {'mien':>10} {'usual':>10} {'ratio':>6}")
    measure: Any = throughput if options.until is None else time_to
    for name in options.recipe or ("cnn5", "foldnet"):
        measure(data, name, options)


if __name__ == "__main__":
    main()
