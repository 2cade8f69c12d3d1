"""What a run's folder says of itself: how far it is, what it was made with, what is missing."""

from __future__ import annotations

import re
from pathlib import Path

from mien.data.cache import SPLITS, Dataset
from mien.errors import MienError
from mien.evaluation.predictions import Predictions
from mien.files import sha256
from mien.training.differences import differences
from mien.training.recipe import Recipe
from mien.training.run import Run

_SHOWN = 3
_LEFTOVER = re.compile(r"\.(checkpoint|model|history|curves|run|recipe)\.\w+\.\w+")


def predictions_file(folder: Path, split: str) -> Path:
    """Return where a run's predictions for a split lie, as `mien evaluate` writes them."""
    return folder / "predictions" / f"{split}.parquet"


def only_begun(folder: Path) -> bool:
    """Say whether a start was cut off before the recipe was written: there is nothing to keep."""
    return all(path.name == "run.json" or _is_leftover(path) for path in folder.iterdir())


def clear_begun(folder: Path) -> None:
    """Remove what `only_begun` found, and what killed writers left in any run's folder."""
    if not folder.is_dir():
        return
    cut_off = only_begun(folder)
    for path in folder.iterdir():
        if cut_off or _is_leftover(path):
            path.unlink()


def _is_leftover(path: Path) -> bool:
    """Say whether a file was being written, by `mien.files.atomic_path`, when its writer died."""
    return _LEFTOVER.fullmatch(path.name) is not None


def differs(run: Run, recipe: Recipe, checksum: str) -> str:
    """Return in words how a run differs from what would be run; empty where it does not.

    Args:
        run: what is there.
        recipe: what would be trained.
        checksum: of the data set that it would be trained on.
    """
    try:
        there, data = run.recipe(), run.info()["data"]["checksum"]
    except MienError as error:
        return error.message
    except (ValueError, KeyError, TypeError) as error:
        return f"{run.info_file.name} is damaged: {error}"
    found = []
    if data != checksum:
        found.append(f"the data's checksum is {data[:12]}… there, {checksum[:12]}… here")
    found += [
        f"{each.key} is {_said(each.second)} there, {_said(each.first)} here"
        for each in differences(recipe, there)
    ]
    more = len(found) - _SHOWN
    return "; ".join(found[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def missing_predictions(run: Run, dataset: Dataset) -> list[str]:
    """Return the splits for which a trained run has no predictions, or those of other weights.

    A run without its weights (they need not be kept) is taken at its word.
    """
    weights = sha256(run.weights_file) if run.weights_file.is_file() else None
    return [
        split
        for split in SPLITS
        if split in dataset.split_names
        and len(dataset.indices(split))
        and not _are_of(predictions_file(run.folder, split), weights, dataset.checksum)
    ]


def _are_of(file: Path, weights: str | None, checksum: str) -> bool:
    if not file.is_file():
        return False
    try:
        info = Predictions.load(file).info
    except MienError:
        return False
    return info.get("data") == checksum and (weights is None or info.get("model_sha256") == weights)


def _said(value: object) -> str:
    return "not set" if value is None else str(value)
