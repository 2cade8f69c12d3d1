"""The ensembles at the end of a work: the paper's seven, as far as they are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mien.data.cache import SPLITS
from mien.errors import MienError
from mien.evaluation.align import align
from mien.evaluation.ensemble import Combiner
from mien.evaluation.ensemble_folder import FILE, EnsembleFolder, Member
from mien.evaluation.metrics import evaluate
from mien.evaluation.predictions import Predictions
from mien.experiments.folders import predictions_file
from mien.experiments.plan import Group
from mien.experiments.tasks import Task
from mien.files import sha256
from mien.training.run import Run

METHODS = ("mean", "vote")
"""Neither is fitted to anything. The paper does not say how its seven are combined."""


@dataclass(frozen=True)
class Combined:
    """One ensemble.

    Attributes:
        group: whose members it has.
        seed: of all its members.
        method: of `METHODS`.
        members: the names of the runs.
        planned: how many members the plan has.
        accuracy: on validation, 0 to 1; None where there are no labels to measure it by.
        images: of validation, with a label.
        folder: where its predictions lie.
        problem: why it could not be made; empty where it was.
    """

    group: Group
    seed: int
    method: str
    members: tuple[str, ...]
    planned: int
    accuracy: float | None
    images: int
    folder: Path
    problem: str = ""


def combine(group: Group, seed: int, members: Sequence[Task], planned: int) -> list[Combined]:
    """Combine finished runs by each of `METHODS` and write the predictions of every split.

    What an earlier work left in an ensemble's folder is replaced: it can be made again at any
    time, and its members may have become more. Without the weights of all members there are the
    predictions alone.

    Args:
        group: what the ensemble is called by: its folders are `ensemble-<group>/<method>-seed<k>`
            beside those of the runs, each as `mien.evaluation.ensemble_folder` says.
        seed: of the members.
        members: finished runs; fewer than two are no ensemble.
        planned: how many members the plan has.

    Returns:
        One a method, none for fewer than two members.
    """
    if len(members) < 2:
        return []
    made = []
    for method in METHODS:
        folder = members[0].folder.parent / f"ensemble-{group}" / f"{method}-seed{seed}"
        accuracy, images, problem = None, 0, ""
        try:
            accuracy, images = _make(Combiner(method, len(members)), members, folder)
        except MienError as error:
            problem = error.message
        titles = tuple(member.name for member in members)
        made.append(
            Combined(group, seed, method, titles, planned, accuracy, images, folder, problem)
        )
    return made


def _make(combiner: Combiner, members: Sequence[Task], folder: Path) -> tuple[float | None, int]:
    """Write an ensemble's folder and return its validation accuracy and how many images that has.

    Raises:
        MienError: the members' predictions do not fit together, or cannot be read.
    """
    (folder / FILE).unlink(missing_ok=True)
    for split in SPLITS:
        predictions_file(folder, split).unlink(missing_ok=True)
    combined = _combined(combiner, members)
    model = _save_models(combiner, members, folder)
    accuracy, images = None, 0
    for split, predictions in combined.items():
        predictions = replace(predictions, info=dict(predictions.info) | model)
        predictions.save(predictions_file(folder, split), half=True)
        if split == "validation":
            accuracy, images = measure(predictions)
    return accuracy, images


def _combined(combiner: Combiner, members: Sequence[Task]) -> dict[str, Predictions]:
    """Return the combined predictions of every split that the data has."""
    combined = {}
    for split in SPLITS:
        files = [member.predictions(split) for member in members]
        if any(file.is_file() for file in files):
            loaded = align([Predictions.load(file) for file in files], [m.name for m in members])
            combined[split] = combiner(loaded)
    return combined


def _save_models(combiner: Combiner, members: Sequence[Task], folder: Path) -> dict[str, str]:
    """Write `ensemble.json`, and return what predictions say of the model that made them.

    Nothing of both where a member has no weights.
    """
    weights = [Run(member.folder).weights_file for member in members]
    if not all(file.is_file() for file in weights):
        return {}
    models = tuple(
        Member(member.name, member.folder, file, sha256(file))
        for member, file in zip(members, weights, strict=True)
    )
    file = EnsembleFolder(combiner, models).save(folder)
    return {"model": folder.resolve().name, "model_sha256": sha256(file)}


def measure(predictions: Predictions) -> tuple[float | None, int]:
    """Return the accuracy, None without labels, and the number of images with a label."""
    if not predictions.labeled.any():
        return None, 0
    return evaluate(predictions).accuracy, int(predictions.labeled.sum())
