"""The run folder: what a training leaves behind, and reading it again.

A folder holds

- `recipe.toml`, the recipe with all defaults and overrides written out,
- `run.json`, the data's checksum, the seed and, of each start or resumption, device, precision and
  the versions of what it ran with,
- `checkpoint.pt`, everything that the next epoch needs (`weights_only`),
- `model.safetensors`, the weights of the best epoch by validation accuracy,
- `history.csv` and `curves.png`, a row and a point an epoch,
- `teachers/` and `exclude/`, copies of the predictions that it is distilled from and of the lists
  of images that it is not trained on,
- `predictions/`, what `mien evaluate` writes.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mien.data.cache import Dataset
from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.plots import training_curves
from mien.files import atomic_path, atomic_write, relative
from mien.images.preprocessing import Preprocessing
from mien.models.embedding import embed
from mien.models.registry import create
from mien.training.recipe import FEATURES, Recipe, to_table
from mien.training.recipe import load as load_recipe
from mien.training.stages import current_stage, stages_of
from mien.version import __version__

Row = dict[str, float]
"""An epoch of a history: a value by column."""


class Run:
    """The files of one run folder."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.recipe_file = self.folder / "recipe.toml"
        self.info_file = self.folder / "run.json"
        self.checkpoint_file = self.folder / "checkpoint.pt"
        self.weights_file = self.folder / "model.safetensors"
        self.history_file = self.folder / "history.csv"
        self.curves_file = self.folder / "curves.png"

    def create(self, recipe: Recipe, info: Mapping[str, Any]) -> None:
        """Begin a run folder.

        Raises:
            MienError: the folder holds something already.
        """
        self.check_new()
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.info_file, json.dumps(info, indent=2) + "\n")
        atomic_write(self.recipe_file, tomli_w.dumps(to_table(recipe)))

    def check_new(self) -> None:
        """Refuse a folder that holds something already.

        Raises:
            MienError: it does.
        """
        if self.folder.exists() and any(self.folder.iterdir()):
            raise MienError(
                f"{self.folder} is not empty; a run never overwrites another",
                hint=f"go on with it: mien train --resume {self.folder}, or choose another --out",
            )

    def recipe(self) -> Recipe:
        """Return the recipe of the run.

        Raises:
            MienError: the folder is no run.
        """
        if not self.recipe_file.is_file() or not self.info_file.is_file():
            raise MienError(
                f"{self.folder} is not a run (no recipe.toml)",
                hint="start one with: mien train RECIPE --data DIR --out RUN",
            )
        return load_recipe(str(self.recipe_file))

    def info(self) -> dict[str, Any]:
        """Return what was recorded about data and environment."""
        content: dict[str, Any] = json.loads(self.info_file.read_text(encoding="utf-8"))
        return content

    def with_copies(self, recipe: Recipe) -> Recipe:
        """Return a recipe whose `training.distill` and `.exclude` are the run's own copies."""
        folders = {"distill": "teachers", "exclude": "exclude"}
        copies = {
            key: tuple(
                str(self.folder / folder / f"{number}-{Path(file).name}")
                for number, file in enumerate(getattr(recipe.training, key), start=1)
            )
            for key, folder in folders.items()
        }
        return recipe.model_copy(update={"training": recipe.training.model_copy(update=copies)})

    def copy_files(self, recipe: Recipe) -> None:
        """Copy the files that the recipe names to where `with_copies` says.

        Raises:
            OSError: a file cannot be copied.
        """
        theirs, ours = recipe.training, self.with_copies(recipe).training
        for source, copy in zip(
            theirs.distill + theirs.exclude, ours.distill + ours.exclude, strict=True
        ):
            Path(copy).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, copy)

    def check_data(self, dataset: Dataset) -> None:
        """Refuse another data set than the run was started with.

        Raises:
            MienError: the checksums differ.
        """
        checksum = self.info()["data"]["checksum"]
        if dataset.checksum != checksum:
            raise MienError(
                f"the data set's checksum {dataset.checksum[:12]}… is not that of the run "
                f"{self.folder}, {checksum[:12]}…",
                hint="give the data set that the run was started with",
            )

    def data_folder(self) -> Path:
        """Return where the run's data set lay when the run was started.

        Raises:
            MienError: that was not recorded.
        """
        folder = self.info()["data"].get("folder")
        if folder is None:
            raise MienError(
                f"{self.folder} does not say where its data set lies",
                hint="name the folder with --data DIR",
            )
        return self.folder.resolve() / str(folder)

    def add_session(self, session: Mapping[str, Any]) -> None:
        """Record where and with what the run goes on from now."""
        info = self.info()
        info["sessions"] = [*info.get("sessions", []), dict(session)]
        atomic_write(self.info_file, json.dumps(info, indent=2) + "\n")

    def save_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Write the best weights.

        Raises:
            OSError: they cannot be written.
        """
        with atomic_path(self.weights_file) as path, _told_as_oserror(SafetensorError):
            save_file({k: v.detach().cpu().contiguous() for k, v in weights.items()}, path)

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Write what the next epoch needs.

        Raises:
            OSError: it cannot be written.
        """
        with atomic_path(self.checkpoint_file) as path, _told_as_oserror(RuntimeError):
            torch.save(dict(state), path)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Return the last checkpoint on the CPU, or None where there is none yet."""
        if not self.checkpoint_file.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(
                self.checkpoint_file, map_location="cpu", weights_only=True
            )
        except Exception as error:  # torch raises many kinds for a damaged file
            raise MienError(f"{self.checkpoint_file} is damaged: {error}") from error
        return state

    def save_history(self, history: Sequence[Row]) -> None:
        """Write `history.csv`."""
        text = io.StringIO()
        # A run that began before there were stages has rows without one.
        writer = csv.DictWriter(text, list(history[-1]), restval="1", lineterminator="\n")
        writer.writeheader()
        for row in history:
            writer.writerow({k: f"{v:g}" if k == "epoch" else f"{v:.6g}" for k, v in row.items()})
        atomic_write(self.history_file, text.getvalue())

    def history(self) -> list[Row]:
        """Return the rows of `history.csv`, none before the first epoch is done.

        Raises:
            MienError: the file is damaged.
        """
        if not self.history_file.is_file():
            return []
        try:
            with self.history_file.open(newline="", encoding="utf-8") as file:
                return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
        except (ValueError, TypeError, AttributeError) as error:
            raise MienError(f"{self.history_file} is damaged: {error}") from error

    def is_finished(self) -> bool:
        """Say whether all epochs are done, or the last stage ended early.

        Raises:
            MienError: the folder is no run, or its history is damaged.
        """
        return current_stage(stages_of(self.recipe()), self.history()) is None

    def draw_curves(self) -> None:
        """Draw `curves.png` from `history.csv`."""
        training_curves(self.history_file, self.curves_file)

    def network(self) -> nn.Module:
        """Return the network with the best weights, on the CPU, for inference.

        Raises:
            MienError: there are no weights yet, or they do not fit the recipe.
        """
        recipe = self.recipe()
        weights = self.weights()
        network = build_network(recipe)
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise MienError(f"{self.weights_file} does not fit its recipe: {error}") from error
        return network.eval()

    def weights(self) -> dict[str, Tensor]:
        """Return the best weights so far, on the CPU.

        Raises:
            MienError: there are none yet, or the file is damaged.
        """
        if not self.weights_file.is_file():
            raise MienError(
                f"{self.folder} has no weights yet",
                hint=f"train on with: mien train --resume {self.folder}",
            )
        try:
            return load_file(self.weights_file)
        except (OSError, ValueError, SafetensorError) as error:
            raise MienError(f"{self.weights_file} is damaged: {error}") from error


@contextlib.contextmanager
def _told_as_oserror(kind: type[Exception]) -> Iterator[None]:
    """Turn what a library of its own raises on a full disk into the system's error."""
    try:
        yield
    except kind as error:
        raise OSError(str(error)) from error


def beginning(
    recipe: Recipe, dataset: Dataset, folder: Path | str, data_folder: Path | str | None
) -> dict[str, Any]:
    """Return what every run records when it begins, for `Run.create`.

    `data_folder`, where the data set lies, is kept relative to the run's folder.
    """
    data: dict[str, Any] = {"checksum": dataset.checksum, "images": len(dataset)}
    if data_folder is not None:
        data["folder"] = relative(data_folder, folder)
    return {"data": data, "started": now(), "seed": recipe.training.seed, "sessions": []}


def now() -> str:
    """Return the time as runs record it: UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def build_network(recipe: Recipe) -> nn.Module:
    """Return the recipe's network with fresh weights.

    Raises:
        MienError: there is no such architecture, or it is a recipe of a classifier on features.
    """
    if recipe.model.name == FEATURES:
        raise MienError(
            "this is no network but a classifier on features",
            hint="mien train, evaluate and ensemble take it; not what needs layers",
        )
    return create(
        recipe.model.name,
        size=recipe.input.size,
        channels=3 if recipe.input.color else 1,
        **recipe.model.options,
    )


def environment() -> dict[str, Any]:
    """Return the versions and the machine that a run records."""
    packages = ("torch", "lightning-fabric", "numpy", "opencv-python-headless", "pillow")
    return {
        "mien": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        **{package: metadata.version(package) for package in packages},
    }


def to_device_layout(images: NDArray[np.uint8]) -> Tensor:
    """Return uint8 N×H×W or N×H×W×3 as a uint8 tensor N×C×H×W."""
    tensor = torch.from_numpy(np.ascontiguousarray(images))
    return tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)


class TorchClassifier:
    """A trained network as a classifier (see `docs/architecture.md`) and as an embedder.

    Args:
        network: maps float32 N×C×H×W to logits; is moved to the device.
        preprocessing: what images go through first.
        device: as torch names it.
    """

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing, device: str = "cpu"
    ) -> None:
        self.network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.preprocessing = preprocessing
        self.device = device
        self.labels = EMOTIONS

    @torch.inference_mode()
    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map a preprocessed uint8 batch to float32 N×7."""
        result: NDArray[np.float32] = self.network(self._batch(images)).softmax(dim=1).cpu().numpy()
        return result

    @torch.inference_mode()
    def embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map a preprocessed uint8 batch to float32 N×width; see `mien.models.embedding.embed`."""
        vectors: NDArray[np.float32] = embed(self.network, self._batch(images)).cpu().numpy()
        return vectors

    def _batch(self, images: NDArray[np.uint8]) -> Tensor:
        batch = to_device_layout(images).to(self.device).float()
        return batch.contiguous(memory_format=torch.channels_last)


def load_classifier(folder: Path | str) -> TorchClassifier:
    """Return the classifier of a run folder, with the weights of its best epoch.

    Raises:
        MienError: the folder is no run or has no weights yet.
    """
    run = Run(folder)
    return TorchClassifier(run.network(), run.recipe().input.preprocessing())
