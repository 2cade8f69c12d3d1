"""What a work consists of: one task an experiment and seed, in order, and what each still needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.experiments.folders import (
    differs,
    missing_predictions,
    only_begun,
    predictions_file,
)
from mien.experiments.plan import EXPERIMENTS, Experiment, Group, run_name
from mien.training.recipe import Recipe, load, names
from mien.training.run import Run
from mien.training.stages import stages_of
from mien.weights.catalog import find

# The cheap ones first; what needs published weights comes after all that does not.
_ORDER: tuple[Group, ...] = ("stand-in", "ablations", "filters", "paper", "scratch")


class State(StrEnum):
    """How a task stands."""

    TRAIN = "to train"
    RESUME = "to go on"
    PREDICT = "to evaluate"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DIFFERS = "differs"
    SKIPPED = "skipped"


OPEN = (State.TRAIN, State.RESUME, State.PREDICT)
"""The states of a task that is waiting for its turn."""


@dataclass
class Task:
    """One experiment with one seed.

    Attributes:
        experiment: of the plan.
        seed: 0, 1, …
        folder: the run's.
        overrides: of the recipe, the seed among them, as `--set` takes them.
        recipe: with the overrides; None where the package has no such recipe.
        state: how it stands.
        reason: why it is to be predicted, differs, was skipped or failed.
        history: the rows of the epochs that are done.
    """

    experiment: Experiment
    seed: int
    folder: Path
    overrides: tuple[str, ...]
    recipe: Recipe | None = None
    state: State = State.TRAIN
    reason: str = ""
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def epochs(self) -> int:
        """How many epochs the whole run has at most."""
        return epochs_of(self.recipe) if self.recipe is not None else 0

    @property
    def seconds(self) -> float:
        """What the epochs so far took, in seconds."""
        return sum(row["seconds"] for row in self.history)

    @property
    def best(self) -> float | None:
        """The best validation accuracy so far, 0 to 1."""
        return max((row["validation_accuracy"] for row in self.history), default=None)

    def predictions(self, split: str) -> Path:
        """Return where its predictions for a split lie."""
        return predictions_file(self.folder, split)


def epochs_of(recipe: Recipe) -> int:
    """Return how many epochs a recipe's stages have together, where none ends early."""
    return sum(stage.epochs for stage in stages_of(recipe))


def tasks_of(
    experiments: Sequence[Experiment], seeds: Sequence[int], overrides: Sequence[str], out: Path
) -> list[Task]:
    """Return the tasks in their order, not yet compared with what is there.

    Seeds are the outer loop, so that a work that is stopped leaves whole tables. Within a seed the
    cheap groups come first, those that need published weights last, and a baseline before what is
    compared with it.

    Raises:
        MienError: an override does not fit a recipe.
    """
    recipes = {
        experiment.recipe: load(experiment.recipe, overrides)
        for experiment in experiments
        if experiment.recipe in names()
    }

    def cost(experiment: Experiment) -> tuple[bool, int]:
        recipe = recipes.get(experiment.recipe)
        return recipe is None or bool(recipe.model.weights), _ORDER.index(experiment.group)

    ordered = _baselines_first(sorted(experiments, key=cost))
    tasks = []
    for seed in seeds:
        own = (*overrides, f"training.seed={seed}")
        for experiment in ordered:
            task = Task(experiment, seed, out / run_name(experiment.recipe, seed), own)
            if experiment.recipe in recipes:
                task.recipe = load(experiment.recipe, own)
            tasks.append(task)
    return tasks


def _baselines_first(experiments: Sequence[Experiment]) -> list[Experiment]:
    by_recipe = {experiment.recipe: experiment for experiment in experiments}
    ordered: dict[str, Experiment] = {}

    def add(experiment: Experiment) -> None:
        if experiment.recipe in ordered:
            return
        if experiment.baseline in by_recipe:
            add(by_recipe[experiment.baseline])
        ordered[experiment.recipe] = experiment

    for experiment in experiments:
        add(experiment)
    return list(ordered.values())


def look(task: Task, dataset: Dataset) -> None:
    """Compare a task with its folder: set its state, the reason and the history. Changes no file.

    Args:
        task: any.
        dataset: what it is, or would be, trained on.
    """
    if task.recipe is None:
        task.state, task.reason = State.SKIPPED, "the package has no such recipe"
        return
    run = Run(task.folder)
    if not task.folder.exists() or (task.folder.is_dir() and only_begun(task.folder)):
        task.state, task.reason = State.TRAIN, ""
    elif how := differs(run, task.recipe, dataset.checksum):
        task.state, task.reason = State.DIFFERS, how
        return
    else:
        try:
            task.history = run.history()
            finished = run.is_finished()
        except MienError as error:
            task.state, task.reason = State.DIFFERS, error.message
            return
        if not finished:
            task.state, task.reason = State.RESUME, ""
        else:
            splits = missing_predictions(run, dataset)
            task.state = State.PREDICT if splits else State.DONE
            task.reason = ", ".join(splits)
    # What was begun has copies of the files that its recipe names.
    recipe = run.with_copies(task.recipe) if task.state is State.RESUME else task.recipe
    if task.state in (State.TRAIN, State.RESUME) and (missing := _missing(recipe, dataset)):
        task.state, task.reason = State.SKIPPED, missing


def _missing(recipe: Recipe, dataset: Dataset) -> str:
    """Return in words what a recipe needs and this machine does not have, or an empty text."""
    weights = recipe.model.weights
    if weights and not Path(weights).is_dir() and not find(weights).path.is_file():
        return f"needs published weights: mien weights fetch {weights}"
    for file in (*recipe.training.distill, *recipe.training.exclude):
        if not Path(file).is_file():
            return f"needs the file {file}"
    if recipe.loss.targets == "votes" and dataset.votes is None:
        return "needs data with the votes of FER+"
    return ""


def ensemble_members(group: Group) -> tuple[Experiment, ...]:
    """Return the experiments of a group's ensemble of seven; none where it has no ensemble.

    Row 1 is trained from scratch in the paper too, and so stands in both ensembles.
    """
    own = tuple(e for e in EXPERIMENTS if e.member and e.group == group)
    if group != "scratch":
        return own
    rows = {experiment.row for experiment in own}
    shared = tuple(e for e in EXPERIMENTS if e.member and e.group == "paper" and e.row not in rows)
    return (*shared, *own)
