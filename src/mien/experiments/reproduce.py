"""Runs experiments as one work: each in a process of its own, resumable, then the ensembles."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import filelock

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.experiments import record
from mien.experiments.child import Event, Job
from mien.experiments.combine import Combined, combine
from mien.experiments.plan import GROUPS, Experiment
from mien.experiments.pool import End, Pool, Slot
from mien.experiments.tasks import OPEN, State, Task, ensemble_members, look, tasks_of

_SECONDS_BETWEEN_TICKS = 0.5


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        data: the prepared data set's folder.
        out: the folder of all runs.
        only: names of recipes or groups of the plan; empty is all.
        seeds: how many seeds, 0, 1, …
        overrides: of every recipe, as `--set` takes them, without the seed.
    """

    data: Path
    out: Path
    only: tuple[str, ...] = ()
    seeds: int = 1
    overrides: tuple[str, ...] = ()


class View(Protocol):
    """Who watches a work."""

    def started(self, task: Task, slot: Slot) -> None:
        """A task's process has started."""

    def heard(self, task: Task, event: Event) -> None:
        """A task's process has told something; the task's history is up to date."""

    def ended(self, task: Task) -> None:
        """A task's process has ended; its state is done or failed."""

    def tick(self) -> None:
        """Some time has passed."""


def survey(request: Request, dataset: Dataset, experiments: Sequence[Experiment]) -> list[Task]:
    """Return the tasks in their order, each compared with its folder. Changes no file.

    Raises:
        MienError: an override does not fit a recipe, or the folder has runs of other data.
    """
    record.check(request.out, dataset)
    tasks = tasks_of(experiments, range(request.seeds), request.overrides, request.out)
    for task in tasks:
        look(task, dataset)
    return tasks


def log_file(task: Task) -> Path:
    """Return where a task's process writes what it has to say."""
    return task.folder.parent / "logs" / f"{task.name}.txt"


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other works out of a folder of runs.

    Raises:
        MienError: another work is at it.
    """
    lock = filelock.FileLock(out / "logs" / ".lock")
    (out / "logs").mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise MienError(
            f"another mien reproduce is at work in {out}", hint="wait for it, or stop it first"
        ) from error
    try:
        yield
    finally:
        lock.release()


def run(
    request: Request, dataset: Dataset, tasks: Sequence[Task], slots: Sequence[Slot], view: View
) -> None:
    """Run all tasks that are open; what fails does not end the others.

    Afterwards each task's state is done, failed, differs or skipped. A KeyboardInterrupt stops the
    processes and is passed on; the same request goes on from there.

    Args:
        request: where tasks came from, with `survey`.
        dataset: the request's.
        tasks: in the order in which they are started.
        slots: where; one process each at a time.
        view: told of everything.
    """
    record.write(
        request.out,
        dataset,
        only=request.only,
        seeds=request.seeds,
        overrides=request.overrides,
        runs=[
            (task.name, task.experiment.recipe, task.seed)
            for task in tasks
            if task.state in (*OPEN, State.DONE)
        ],
    )
    waiting = [task for task in tasks if task.state in OPEN]
    free = list(slots)
    running: dict[str, tuple[Task, Slot]] = {}
    pool = Pool()
    try:
        while waiting or running:
            while waiting and free:
                task, slot = waiting.pop(0), free.pop(0)
                pool.start(task.name, _job(task, request, slot), slot, log_file(task))
                running[task.name] = task, slot
                task.state, task.reason = State.RUNNING, ""
                view.started(task, slot)
            heard = pool.next(_SECONDS_BETWEEN_TICKS)
            if heard is not None:
                name, event = heard
                task, slot = running[name]
                if isinstance(event, End):
                    del running[name]
                    free.append(slot)
                    _conclude(task, event, dataset)
                    view.ended(task)
                else:
                    if "epoch" in event:
                        task.history.append(event["epoch"])
                    view.heard(task, event)
            view.tick()
    finally:
        pool.stop()


def _job(task: Task, request: Request, slot: Slot) -> Job:
    return Job(
        task.experiment.recipe,
        task.overrides,
        str(request.data),
        str(task.folder),
        slot.accelerator,
    )


def _conclude(task: Task, end: End, dataset: Dataset) -> None:
    """Set how a task stands after its process has ended, by what is in its folder."""
    if end.reason:
        task.state, task.reason = State.FAILED, end.reason
        return
    look(task, dataset)
    if task.state is not State.DONE:
        task.reason = f"its process ended well, but it is {task.state} {task.reason}".rstrip()
        task.state = State.FAILED


def ensembles(request: Request, dataset: Dataset, tasks: Sequence[Task]) -> list[Combined]:
    """Combine the members of each group that the tasks have a member of, a seed at a time.

    Members that were not asked for count where they are done with the same overrides.
    """
    made: list[Combined] = []
    for group in GROUPS:
        members = ensemble_members(group)
        if not any(task.experiment in members for task in tasks):
            continue
        for seed in range(request.seeds):
            known = {task.experiment: task for task in tasks if task.seed == seed}
            others = [member for member in members if member not in known]
            for task in tasks_of(others, [seed], request.overrides, request.out):
                look(task, dataset)
                known[task.experiment] = task
            done = [known[m] for m in members if known[m].state is State.DONE]
            made += combine(group, seed, done, len(members))
    return made
