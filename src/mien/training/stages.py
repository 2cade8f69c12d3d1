"""The stages of a run: which there are, in which one a run is, and when one ends early."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mien.images.augment import Augmentation
from mien.training.recipe import Optimizer, Recipe, Schedule, Stage

Row = Mapping[str, float]
"""An epoch of a run's history."""


@dataclass(frozen=True)
class ResolvedStage:
    """A stage with all that the recipe says for it.

    Attributes:
        number: 1, 2, …
        name: what logs call it.
        freeze: see `recipe.Stage`.
        epochs: at most so many.
        early_stopping: epochs without a better validation accuracy that end it; 0 is off.
        optimizer, schedule, augmentation: the stage's own, or the recipe's.
        balanced: classes are weighted by their inverse frequency.
    """

    number: int
    name: str
    freeze: str
    epochs: int
    early_stopping: int
    optimizer: Optimizer
    schedule: Schedule
    augmentation: Augmentation
    balanced: bool


def stages_of(recipe: Recipe) -> tuple[ResolvedStage, ...]:
    """Return a recipe's stages; a recipe without any has one in which everything learns."""
    training = recipe.training
    return tuple(
        ResolvedStage(
            number=number,
            name=stage.name,
            freeze=stage.freeze,
            epochs=stage.epochs or training.epochs,
            early_stopping=(
                training.early_stopping if stage.early_stopping is None else stage.early_stopping
            ),
            optimizer=stage.optimizer or recipe.optimizer,
            schedule=stage.schedule or recipe.schedule,
            augmentation=stage.augmentation or recipe.augmentation,
            balanced=(stage.class_weights or recipe.loss.class_weights) == "balanced",
        )
        for number, stage in enumerate(recipe.stages or (Stage(name="all"),), start=1)
    )


def rows_of(history: Sequence[Row], stage: ResolvedStage) -> list[Row]:
    """Return a stage's part of a history; runs of before there were stages have one."""
    return [row for row in history if row.get("stage", 1) == stage.number]


def current_stage(stages: Sequence[ResolvedStage], history: Sequence[Row]) -> ResolvedStage | None:
    """Return the stage of the next epoch, or None where the run is at its end."""
    return next((stage for stage in stages if not _is_over(stage, rows_of(history, stage))), None)


def _is_over(stage: ResolvedStage, rows: Sequence[Row]) -> bool:
    if len(rows) >= stage.epochs:
        return True
    return 0 < stage.early_stopping <= epochs_since_best(rows)


def epochs_since_best(rows: Sequence[Row]) -> int:
    """Return how many epochs ago the validation accuracy was last better than all before."""
    best, since = -math.inf, 0
    for row in rows:
        if row["validation_accuracy"] > best:
            best, since = row["validation_accuracy"], 0
        else:
            since += 1
    return since
