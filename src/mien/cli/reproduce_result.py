"""What `mien reproduce` prints: what it would do, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mien.cli.common import Output
from mien.errors import ExitStatus, MienError
from mien.evaluation.predictions import Predictions
from mien.experiments.combine import Combined, measure
from mien.experiments.estimate import Estimates, together
from mien.experiments.plan import GROUPS
from mien.experiments.reproduce import log_file
from mien.experiments.tasks import OPEN, State, Task
from mien.experiments.text import duration
from mien.experiments.view import accuracy_text, title

_FITS_A_CPU = 12 * 3600  # seconds: done overnight


def say_what_fits(output: Output, tasks: Sequence[Task], estimates: Estimates) -> None:
    """Say in one line how long each group is likely to take on this CPU, and which fit it."""
    said, fitting = [], []
    for group in GROUPS:
        own = [task for task in tasks if task.experiment.group == group]
        seconds, complete = together([estimates.left(task) for task in own], 1)
        if not any(task.state in OPEN for task in own):
            continue
        said.append(f"{group} {'about' if complete else 'more than'} {duration(seconds)}")
        if complete and seconds <= _FITS_A_CPU:
            fitting.append(f"--only {group}")
    if said:
        fits = " ".join(fitting) if fitting else "none of them"
        output.note(f"on the CPU: {', '.join(said)}; what fits a CPU: {fits}")


def present_plan(
    output: Output, tasks: Sequence[Task], estimates: Estimates, at_once: int, as_json: bool
) -> None:
    """Print what would be done."""
    left = [estimates.left(task) for task in tasks]
    if as_json:
        output.json(
            [
                {**_facts(task), "epochs_planned": task.epochs, "seconds_left": seconds}
                for task, seconds in zip(tasks, left, strict=True)
            ]
        )
        return
    rows = []
    for task, seconds in zip(tasks, left, strict=True):
        likely = "–" if not seconds else duration(seconds)
        rows.append((title(task), str(task.state), _epochs(task), likely))
    output.table(("run", "state", "epochs", "likely time"), rows, texts=2)
    _say_reasons(output, tasks)
    seconds, complete = together(left, at_once)
    if seconds:
        output.note(f"in all {'about' if complete else 'more than'} {duration(seconds)}")


def present(
    output: Output, tasks: Sequence[Task], ensembles: Sequence[Combined], as_json: bool
) -> int:
    """Print what came of a work and return the exit status."""
    measured = [_measured(task) for task in tasks]
    if as_json:
        output.json(
            {
                "runs": [
                    {**_facts(task), "validation_accuracy": accuracy, "validation_images": images}
                    for task, (accuracy, images) in zip(tasks, measured, strict=True)
                ],
                "ensembles": [_ensemble_facts(each) for each in ensembles],
            }
        )
    else:
        _tables(output, tasks, measured, ensembles)
    _say_reasons(output, tasks)
    for each in ensembles:
        if each.problem:
            output.warn(f"the ensemble {each.group}, {each.method}: {each.problem}")
    bad = any(task.state in (State.FAILED, State.DIFFERS) for task in tasks)
    return ExitStatus.FAILURE if bad or any(e.problem for e in ensembles) else ExitStatus.OK


def _tables(
    output: Output,
    tasks: Sequence[Task],
    measured: Sequence[tuple[float | None, int]],
    ensembles: Sequence[Combined],
) -> None:
    rows = []
    for task, (accuracy, images) in zip(tasks, measured, strict=True):
        cost = duration(task.seconds) if task.history else "–"
        number = f"{images:,}" if images else "–"
        state = str(task.state)
        experiment = task.experiment
        rows.append(
            (
                *(experiment.title, experiment.recipe, state, str(task.seed), _epochs(task)),
                *(accuracy_text(accuracy), number, cost),
            )
        )
    columns = ("experiment", "recipe", "state", "seed", "epochs", "validation", "images", "cost")
    output.table(columns, rows, texts=3)
    if ensembles:
        output.table(
            ("ensemble", "combined by", "seed", "members", "validation", "images"),
            [
                (
                    *(each.group, each.method, str(each.seed)),
                    *(f"{len(each.members)} of {each.planned}", accuracy_text(each.accuracy)),
                    f"{each.images:,}" if each.images else "–",
                )
                for each in ensembles
            ],
            texts=2,
        )


def _say_reasons(output: Output, tasks: Sequence[Task]) -> None:
    """Say why tasks failed, differ or were skipped, and how to mend it."""
    for task in tasks:
        if task.state is State.FAILED:
            output.warn(f"{title(task)} failed: {task.reason}\n  its log: {log_file(task)}")
        elif task.state is State.DIFFERS:
            output.warn(
                f"{task.folder} is another run than was asked for, and is left alone: "
                f"{task.reason}\n  repeat the --set options and --data it was made with, choose "
                "another --out, or move the folder away"
            )
    skipped: dict[str, list[str]] = {}
    for task in tasks:
        if task.state is State.SKIPPED:
            skipped.setdefault(task.reason, []).append(title(task))
    for reason, titles in skipped.items():
        output.note(f"skipped, {reason}: {'; '.join(titles)}")


def _measured(task: Task) -> tuple[float | None, int]:
    """Return a task's validation accuracy, None where there is none, and its labeled images."""
    file = task.predictions("validation")
    if task.state is not State.DONE or not file.is_file():
        return None, 0
    try:
        return measure(Predictions.load(file))
    except MienError:
        return None, 0


def _epochs(task: Task) -> str:
    return f"{len(task.history)}/{task.epochs}"


def _facts(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "recipe": task.experiment.recipe,
        "title": task.experiment.title,
        "group": task.experiment.group,
        "seed": task.seed,
        "folder": str(task.folder),
        "state": str(task.state),
        "reason": task.reason,
        "epochs": len(task.history),
        "seconds": task.seconds,
        "log": str(log_file(task)) if log_file(task).is_file() else None,
    }


def _ensemble_facts(each: Combined) -> dict[str, Any]:
    return {
        "group": each.group,
        "method": each.method,
        "seed": each.seed,
        "members": list(each.members),
        "planned": each.planned,
        "validation_accuracy": each.accuracy,
        "validation_images": each.images,
        "folder": str(each.folder),
        "problem": each.problem,
    }
