"""All that a report says, as plain values: gathered once, then read by the templates.

Shares, accuracies and differences are fractions (0 to 1, −1 to 1); templates turn them into
percent and points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.experiments.plan import Experiment
from mien.experiments.report.ablation_figures import Ablations
from mien.experiments.report.changes import Change
from mien.experiments.report.judgments import Claim
from mien.experiments.report.run_folder import RunRecord


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    Attributes:
        value: the figure over all images and seeds.
        low, high: the ends of the interval.
        images: how many images it is over.
        seeds: how many trainings it is over; of a difference, those of the side with fewer.
    """

    value: float
    low: float
    high: float
    images: int
    seeds: int


@dataclass(frozen=True)
class Accuracy:
    """How well the runs of one experiment do on one split.

    Attributes:
        total: accuracy, the mean over the runs.
        spread: standard deviation of the accuracy between seeds; None for one seed.
        balanced: mean recall, the mean over the runs.
        macro_f1: mean F1, the mean over the runs.
        recalls: of the seven emotions.
        confusion: int64, 7×7, summed over the runs; row: true emotion, column: predicted.
    """

    total: Estimate
    spread: float | None
    balanced: float
    macro_f1: float
    recalls: tuple[Estimate, ...]
    confusion: NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """What the runs of an experiment gain over those of its baseline.

    Attributes:
        total: of the accuracy.
        recalls: of the seven emotions' recalls.
    """

    total: Estimate
    recalls: tuple[Estimate, ...]


@dataclass(frozen=True)
class Result:
    """An experiment of the plan with its runs.

    Attributes:
        experiment: of the plan.
        runs: those that count, all of the same recipe but for the seed; empty where none.
        accuracy: on the report's split; None where no run has predictions for it.
        test: accuracy on the test split; None where its labels are not known.
        difference: to the baseline on the report's split; None where they cannot be compared.
        incomparable: why there is no difference, though both have an accuracy.
        status: why there is no accuracy, in words; empty where there is one.
    """

    experiment: Experiment
    runs: tuple[RunRecord, ...] = ()
    accuracy: Accuracy | None = None
    test: Estimate | None = None
    difference: Difference | None = None
    incomparable: str = ""
    status: str = "not run"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs, in order."""
        return tuple(run.seed for run in self.runs)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Where the recipe as run differs from the package's recipe of that name."""
        return self.runs[0].changes if self.runs else ()


@dataclass(frozen=True)
class ClassTable:
    """Images of each emotion.

    Attributes:
        printed: what the paper prints, over all splits.
        counts: by split, images of each emotion, from the predictions' labels; None where the
            split's labels are not known.
        images: by split, how many images there are, labeled or not.
    """

    printed: tuple[int, ...]
    counts: dict[str, tuple[int, ...] | None]
    images: dict[str, int]


@dataclass(frozen=True)
class Subset:
    """Some members' mean of probabilities: which they are (by place), and its accuracy."""

    members: tuple[int, ...]
    accuracy: float


@dataclass(frozen=True)
class Combination:
    """A way to combine all members: its accuracy, and whether it is cross-validated."""

    about: str
    accuracy: float
    cross_validated: bool


@dataclass(frozen=True)
class EnsembleFigures:
    """Networks and what they gain together, on the report's split.

    Attributes:
        title: which ensemble.
        members: what tables call each member.
        seeds: of each member; it is the run with the lowest seed.
        accuracies: of each member alone.
        disagreement: M×M, share of images to which two members give different emotions.
        subsets: those of up to seven members, by size, the best first.
        chosen_blind: accuracy where the best subset is chosen by cross-validation: on four fifths
            of the images, and measured on the fifth.
        combinations: all methods, over all members.
        paper_members: places of those members that are of the paper's seven.
        gain: mean of all members' probabilities against the best member.
        paper_gain: mean of the paper's seven against the best of them; None unless all are there.
        changed: members whose recipes as run are not the package's.
        images: how many images all figures are over.
    """

    title: str
    members: tuple[str, ...]
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    disagreement: NDArray[np.float64]
    subsets: tuple[Subset, ...]
    chosen_blind: float
    combinations: tuple[Combination, ...]
    paper_members: tuple[int, ...]
    gain: Estimate
    paper_gain: Estimate | None
    changed: tuple[str, ...]
    images: int

    def best(self, size: int, count: int = 1) -> tuple[Subset, ...]:
        """The best subsets of a size."""
        return tuple(each for each in self.subsets if len(each.members) == size)[:count]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many members the subsets have."""
        return tuple(sorted({len(each.members) for each in self.subsets}))

    @property
    def paper_subset(self) -> Subset | None:
        """The paper's seven together, where all of them are there."""
        if self.paper_gain is None:
            return None
        return next(each for each in self.subsets if each.members == self.paper_members)


@dataclass(frozen=True)
class Cost:
    """What the runs of one recipe took.

    Attributes:
        title: the recipe's or experiment's name.
        seeds: of the runs.
        seconds: a run's training in the mean, validation included.
        epochs: that a run did, in the mean; NaN where it is no network that was trained.
        device: where they ran.
        parameters: values that training changes; None where the network cannot be built.
        multiply_adds: for one image.
    """

    title: str
    seeds: tuple[int, ...]
    seconds: float
    epochs: float
    device: str
    parameters: int | None
    multiply_adds: int | None


@dataclass(frozen=True)
class Head:
    """Where all comes from.

    Attributes:
        folder: the name of the folder of runs.
        split: the split that figures are of.
        first, last: the days on which trainings began, or empty where none is recorded.
        checksums: of the data, with the number of runs on it.
        seeds: of the runs.
        devices: of the runs, with the number of runs on it.
        versions: of mien, in the runs.
        overrides: keys that `mien reproduce` was told to change.
        runs: how many are whole.
        mien: the version that wrote the report.
    """

    folder: str
    split: str
    first: str
    last: str
    checksums: tuple[tuple[str, int], ...]
    seeds: tuple[int, ...]
    devices: tuple[tuple[str, int], ...]
    versions: tuple[str, ...]
    overrides: tuple[str, ...]
    runs: int
    mien: str


@dataclass(frozen=True)
class Report:
    """All of a report.

    Attributes:
        head: where it comes from.
        classes: images of each emotion.
        results: every experiment of the plan, in its order.
        others: runs that are not in the plan, or beside those that count, with why.
        broken: folders or runs that cannot be used, with why.
        ensembles: where there are members.
        costs: what runs took.
        claims: of the paper.
        ablations: None where their base was not run.
        test_labels: the test predictions' labels are known.
    """

    head: Head
    classes: ClassTable
    results: tuple[Result, ...]
    others: tuple[Other, ...]
    broken: tuple[tuple[RunRecord, str], ...]
    ensembles: tuple[EnsembleFigures, ...]
    costs: tuple[Cost, ...]
    claims: tuple[Claim, ...]
    ablations: Ablations | None
    test_labels: bool

    @property
    def about_the_paper(self) -> bool:
        """It has other runs than those of the ablations, or none."""
        measured = [each for each in self.results if each.accuracy]
        return not measured or any(each.experiment.group != "ablations" for each in measured)


@dataclass(frozen=True)
class Other:
    """A run that stands apart: why, and its accuracy on the report's split where there is one."""

    run: RunRecord
    why: str
    accuracy: Accuracy | None
