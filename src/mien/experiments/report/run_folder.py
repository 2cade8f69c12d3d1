"""Read a run folder as the report needs it; what is missing or damaged is noted, never raised."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import MienError
from mien.evaluation.predictions import Predictions
from mien.experiments.report.changes import Change, changes
from mien.models.registry import architectures
from mien.training.recipe import Recipe
from mien.training.recipe import load as load_recipe
from mien.training.run import Run

_NAME = re.compile(r"(?P<recipe>.+)-seed(?P<seed>\d+)")


@dataclass(frozen=True)
class Epoch:
    """A row of the history: accuracies are fractions and may be NaN."""

    stage: str
    train: float
    validation: float
    seconds: float


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A run folder.

    Attributes:
        name: of the folder.
        recipe_name: the folder's name without its seed.
        seed: 0 where neither name nor recipe says.
        recipe: as run; None where it cannot be read.
        changes: where it differs from the package's recipe of that name.
        info: what `run.json` holds; empty where it cannot be read.
        history: the epochs.
        predictions: by split, those without test-time augmentation.
        problem: why the run does not count; empty for a finished one.
    """

    name: str
    recipe_name: str
    seed: int
    recipe: Recipe | None = None
    changes: tuple[Change, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Epoch, ...] = ()
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_network(self) -> bool:
        """It is of an architecture that is trained in epochs, not of a classical pipeline."""
        return self.recipe is not None and self.recipe.model.name in architectures()

    @property
    def sessions(self) -> tuple[Mapping[str, Any], ...]:
        """What is recorded of each start or resumption."""
        found = self.info.get("sessions")
        return tuple(each for each in found if isinstance(each, dict)) if found else ()

    @property
    def data(self) -> Mapping[str, Any]:
        """What is recorded of the data set."""
        found = self.info.get("data")
        return found if isinstance(found, dict) else {}


def is_run(folder: Path) -> bool:
    """Tell whether a folder is a run's, finished or not, whole or not."""
    return any((folder / name).exists() for name in ("recipe.toml", "run.json", "history.csv"))


def read(folder: Path, splits: tuple[str, ...]) -> RunRecord:
    """Read a run folder.

    Args:
        folder: the folder.
        splits: whose predictions are read; the first is the one that a finished run must have.
    """
    match = _NAME.fullmatch(folder.name)
    recipe_name = match["recipe"] if match else folder.name
    problems: list[str] = []
    recipe = _recipe(folder, problems)
    seed = int(match["seed"]) if match else (recipe.training.seed if recipe else 0)
    history = _history(folder, problems)
    predictions = _predictions(folder, splits, problems)
    if recipe is not None and not _finished(folder):
        problems.append(f"its training is not finished ({_epochs(len(history))} done)")
    elif splits[0] not in predictions and not problems:
        problems.append(f"it has no predictions for {splits[0]}")
    return RunRecord(
        name=folder.name,
        recipe_name=recipe_name,
        seed=seed,
        recipe=recipe,
        changes=changes(recipe_name, recipe) if recipe else (),
        info=_info(folder, problems),
        history=history,
        predictions=predictions,
        problem="; ".join(problems),
    )


def _recipe(folder: Path, problems: list[str]) -> Recipe | None:
    path = folder / "recipe.toml"
    if not path.is_file():
        problems.append("it has no recipe.toml")
        return None
    try:
        return load_recipe(str(path))
    except (MienError, OSError, ValueError) as error:
        problems.append(f"its recipe.toml cannot be read: {_first_line(error)}")
        return None


def _info(folder: Path, problems: list[str]) -> dict[str, Any]:
    try:
        info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if not isinstance(info, dict):
            raise ValueError("it is not a table")
    except (OSError, ValueError) as error:
        problems.append(f"its run.json cannot be read: {_first_line(error)}")
        return {}
    return info


def _history(folder: Path, problems: list[str]) -> tuple[Epoch, ...]:
    path = folder / "history.csv"
    if not path.is_file():
        return ()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        problems.append(f"its history.csv cannot be read: {_first_line(error)}")
        return ()
    return tuple(
        Epoch(
            row.get("stage") or "1",
            _number(row.get("train_accuracy")),
            _number(row.get("validation_accuracy")),
            _number(row.get("seconds")),
        )
        for row in rows
    )


def _predictions(
    folder: Path, splits: tuple[str, ...], problems: list[str]
) -> dict[str, Predictions]:
    found = {}
    for split in splits:
        path = folder / "predictions" / f"{split}.parquet"
        if not path.is_file():
            continue
        try:
            found[split] = Predictions.load(path)
        except MienError as error:
            problems.append(_first_line(error).replace(f"{folder.parent}/", ""))
    return found


def _finished(folder: Path) -> bool:
    try:
        return Run(folder).is_finished()
    except (MienError, OSError, ValueError):
        return False


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
