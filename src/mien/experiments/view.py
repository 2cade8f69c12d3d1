"""What a person sees of a work: one picture that changes on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mien.experiments.child import Event
from mien.experiments.estimate import Estimates, together
from mien.experiments.pool import Slot
from mien.experiments.tasks import OPEN, State, Task
from mien.experiments.text import duration, percent

_SECONDS_BETWEEN_LINES = 60
_SECONDS_BETWEEN_PICTURES = 0.4


@dataclass
class Current:
    """A task that runs.

    Attributes:
        slot: where.
        since: when its process started, `time.monotonic`.
        doing: what it is at, in words.
        first: steps done and time when steps were first told of.
        left: likely seconds to the end of its training; None while nothing is known.
    """

    slot: Slot
    since: float
    doing: str = "starting"
    first: tuple[int, float] | None = None
    left: float | None = None


class Watch:
    """Follows a work and answers what the views show: what runs, how far, how long still."""

    def __init__(self, tasks: Sequence[Task], slots: Sequence[Slot], estimates: Estimates) -> None:
        self.tasks, self.slots, self.estimates = tasks, slots, estimates
        self.current: dict[str, Current] = {}

    def started(self, task: Task, slot: Slot) -> None:
        """Begin to follow a task."""
        self.current[task.name] = Current(slot, time.monotonic(), left=self.estimates.left(task))

    def heard(self, task: Task, event: Event) -> None:
        """Take note of an event."""
        current, now = self.current[task.name], time.monotonic()
        if "steps" in event:
            done, total = event["steps"], event["of"]
            current.doing = f"epoch {min(len(task.history) + 1, task.epochs)}/{task.epochs}"
            if current.first is None:
                current.first = done, now
            elif done > current.first[0] and now > current.first[1]:
                rate = (done - current.first[0]) / (now - current.first[1])
                current.left = (total - done) / rate
        elif "predicting" in event:
            current.doing, current.left = f"predicting {event['predicting']}", 0.0
        elif "epoch" in event and task.recipe is not None:
            self.estimates.learn(task.recipe, event["epoch"]["seconds"])

    def ended(self, task: Task) -> None:
        """Follow a task no longer."""
        del self.current[task.name]

    def left(self) -> tuple[float, bool]:
        """Return the likely seconds to the end of all, and whether that counts every task."""
        seconds: list[float | None] = [current.left for current in self.current.values()]
        seconds += [self.estimates.left(task) for task in self.tasks if task.state in OPEN]
        return together(seconds, len(self.slots))

    def summary(self) -> str:
        """Return in one line how many tasks stand how, and the time that is left."""
        count = Counter("to do" if task.state in OPEN else str(task.state) for task in self.tasks)
        parts = [f"{count[state]} {state}" for state in _ORDER if count[state]]
        seconds, complete = self.left()
        if seconds:
            parts.append(f"{'about' if complete else 'more than'} {duration(seconds)} left")
        return ", ".join(parts)


_ORDER = ("done", "running", "to do", "failed", "differs", "skipped")


def title(task: Task) -> str:
    """Return what views call a task."""
    return f"{task.experiment.recipe}, seed {task.seed}"


def accuracy_text(accuracy: float | None) -> str:
    """Return an accuracy as views give it; "–" for none."""
    return percent(accuracy, 2, "%")


def ending(task: Task) -> str:
    """Return in one line how a task ended."""
    if task.state is State.FAILED:
        return f"{title(task)}: failed: {task.reason}"
    return (
        f"{title(task)}: done, validation accuracy {accuracy_text(task.best)}, "
        f"{duration(task.seconds)} of training"
    )


class Silent:
    """Shows nothing."""

    def started(self, task: Task, slot: Slot) -> None:
        """Show nothing."""

    def heard(self, task: Task, event: Event) -> None:
        """Show nothing."""

    def ended(self, task: Task) -> None:
        """Show nothing."""

    def tick(self) -> None:
        """Show nothing."""


class Lines:
    """Writes a line when a task starts or ends, and now and then one on an epoch."""

    def __init__(self, watch: Watch, write: Callable[[str], None]) -> None:
        self.watch, self.write = watch, write
        self._last: dict[str, float] = {}

    def started(self, task: Task, slot: Slot) -> None:
        """Say which and where."""
        self.watch.started(task, slot)
        self._last[task.name] = time.monotonic()
        what = f"goes on after epoch {len(task.history)}" if task.history else "starts"
        self.write(f"{title(task)}: {what} on {slot.name} ({self.watch.summary()})")

    def heard(self, task: Task, event: Event) -> None:
        """Say how an epoch went, not more often than once a minute a task."""
        self.watch.heard(task, event)
        now = time.monotonic()
        if "epoch" in event and now - self._last[task.name] >= _SECONDS_BETWEEN_LINES:
            self._last[task.name] = now
            accuracy = accuracy_text(event["epoch"]["validation_accuracy"])
            self.write(
                f"{title(task)}: epoch {len(task.history)}/{task.epochs}, validation accuracy "
                f"{accuracy}, best {accuracy_text(task.best)} ({self.watch.summary()})"
            )

    def ended(self, task: Task) -> None:
        """Say how it ended."""
        self.watch.ended(task)
        self.write(f"{ending(task)} ({self.watch.summary()})")

    def tick(self) -> None:
        """Nothing changes by itself."""


class Picture:
    """Draws what runs as a table that changes in place; what has ended scrolls away above it."""

    def __init__(self, watch: Watch, console: Console) -> None:
        self.watch = watch
        # Drawn from `tick` alone: what is drawn does not change meanwhile.
        self._live = Live(
            console=console, get_renderable=self.draw, auto_refresh=False, transient=True
        )
        self._drawn = 0.0

    def __enter__(self) -> Picture:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def started(self, task: Task, slot: Slot) -> None:
        """Draw it from now on."""
        self.watch.started(task, slot)

    def heard(self, task: Task, event: Event) -> None:
        """Draw what it tells."""
        self.watch.heard(task, event)

    def ended(self, task: Task) -> None:
        """Print how it ended above the picture."""
        self.watch.ended(task)
        self._live.console.print(Text(ending(task), "red" if task.state is State.FAILED else ""))

    def tick(self) -> None:
        """Draw the picture anew, not too often."""
        now = time.monotonic()
        if now - self._drawn >= _SECONDS_BETWEEN_PICTURES:
            self._drawn = now
            self._live.refresh()

    def draw(self) -> Group:
        """Return the picture as it is now."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in ("run", "where", "at", "accuracy", "best", "running for", "left"):
            table.add_column(
                column, justify="left" if column in ("run", "where", "at") else "right"
            )
        by_name = {task.name: task for task in self.watch.tasks}
        for name, current in self.watch.current.items():
            task = by_name[name]
            stage = f", stage {task.history[-1]['stage']:.0f}" if _staged(task) else ""
            table.add_row(
                title(task),
                current.slot.name,
                current.doing + stage,
                accuracy_text(task.history[-1]["validation_accuracy"] if task.history else None),
                accuracy_text(task.best),
                duration(time.monotonic() - current.since),
                duration(current.left),
            )
        return Group(table, Text(self.watch.summary()))


def _staged(task: Task) -> bool:
    return bool(task.recipe and task.recipe.stages and task.history and "stage" in task.history[-1])
