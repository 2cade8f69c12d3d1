"""What the report says of the ablations, as plain values; see `figures`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mien.experiments.plan import Experiment

FEWEST_SEEDS = 2
WORTH_HAVING = 0.005
"""A gain below half a point is not worth a key of a recipe."""


class Decision(StrEnum):
    """What becomes of a way to train."""

    KEPT = "kept"
    NOT_KEPT = "not kept"
    OPEN = "not enough data"


@dataclass(frozen=True)
class Gain:
    """By how much one training is above another, and the 95 % interval; NaN ends: not known."""

    value: float
    low: float
    high: float
    seeds: int

    @property
    def decision(self) -> Decision:
        """What the interval says; see `RULE`."""
        if self.seeds < FEWEST_SEEDS:
            return Decision.OPEN
        if self.low > 0:
            return Decision.KEPT
        return Decision.NOT_KEPT if self.high < WORTH_HAVING else Decision.OPEN


RULE = (
    "Kept: the interval lies above 0. Not kept: it ends below half a point, so that no gain worth "
    f"having is likely. Not enough data: neither, or fewer than {FEWEST_SEEDS} seeds."
)
METHOD = (
    "Gains are differences between runs with the same seed, in the mean over the seeds. Their "
    "variance is that of the images and, by the number of seeds, that between seeds; the latter is "
    "estimated from all rows together, because two or three seeds of one row tell too little, and "
    "the intervals are Student's."
)


@dataclass(frozen=True)
class Mean:
    """A figure's mean over seeds, and its standard deviation between them (None for one seed)."""

    value: float
    spread: float | None


@dataclass(frozen=True)
class Level:
    """How good the runs of one recipe are on one kind of images."""

    accuracy: Mean
    balanced: Mean
    macro_f1: Mean


@dataclass(frozen=True)
class Against:
    """What a recipe gains over the base."""

    accuracy: Gain
    balanced: Gain


@dataclass(frozen=True)
class Row:
    """A recipe of the ablations.

    Attributes:
        experiment: of the plan.
        seeds: of its runs.
        level: on the report's split.
        held_out: on the images of the training split that it did not learn from; None where they
            are not known.
        gain: over the base on the report's split, with the seeds that both have; None for the
            base itself.
        held_out_gain: the same on the held-out images.
    """

    experiment: Experiment
    seeds: tuple[int, ...]
    level: Level
    held_out: Level | None
    gain: Against | None = None
    held_out_gain: Against | None = None

    @property
    def decisive(self) -> Gain | None:
        """The gain that decides: in what it aims at, on held-out images where there are some."""
        against = self.held_out_gain or self.gain
        if against is None:
            return None
        aims_at_accuracy = self.experiment.aim == "accuracy"
        return against.accuracy if aims_at_accuracy else against.balanced


@dataclass(frozen=True)
class View:
    """What several views of an image gain over one, over all runs that were measured so."""

    title: str
    runs: int
    gain: Against


@dataclass(frozen=True)
class Ablations:
    """All of it.

    Attributes:
        rows: the base first.
        absent: recipes of which no run counts.
        views: ways of test-time augmentation, on the report's split.
        held_out: how many images of the training split measure a run; 0 where none do.
    """

    rows: tuple[Row, ...]
    absent: tuple[str, ...]
    views: tuple[View, ...]
    held_out: int

    @property
    def on_split(self) -> list[tuple[Row, Level, Against | None]]:
        """The rows with what they are on the report's split."""
        return [(row, row.level, row.gain) for row in self.rows]

    @property
    def on_held_out(self) -> list[tuple[Row, Level, Against | None]]:
        """The rows that held-out images measure, with what they are on them."""
        return [(row, row.held_out, row.held_out_gain) for row in self.rows if row.held_out]
