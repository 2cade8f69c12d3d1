"""What the claims look at: results by recipe, and figures made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from mien.emotions import EMOTIONS
from mien.experiments.plan import EXPERIMENTS, Group
from mien.experiments.report.claims.verdicts import FEWEST_SEEDS, objection
from mien.experiments.report.figures import EnsembleFigures, Estimate, Result
from mien.experiments.report.judgments import Evidence, Figure, Verdict
from mien.experiments.report.pool import Pool
from mien.experiments.report.run_folder import RunRecord

STAND_IN = "foldnet-micro"
TITLES = {experiment.recipe: experiment.title for experiment in EXPERIMENTS}
PAPER = {each.recipe: each for each in EXPERIMENTS if each.group == "paper"}


@dataclass(frozen=True, eq=False)
class Findings:
    """All that claims are judged by."""

    split: str
    results: dict[str, Result]
    ensembles: dict[Group, EnsembleFigures]
    pool: Pool | None

    def pair_objection(self, recipe: str) -> str:
        """Return why a recipe's difference to its baseline decides nothing, or an empty text."""
        result = self.results.get(recipe)
        baseline = self.results.get(result.experiment.baseline or "") if result else None
        for each in (result, baseline):
            why = objection(each, FEWEST_SEEDS)
            if why == "not run" and each is not None:
                return f"{each.experiment.title}: not run"
            if why:
                return why
        return result.incomparable if result else ""


def figure(label: str, estimate: Estimate, *, signed: bool = True) -> Figure:
    """Return an estimate as a claim's figure."""
    seeds = f"{estimate.seeds} seed{'' if estimate.seeds == 1 else 's'}"
    scope = f"{estimate.images:,} images, {seeds}"
    return Figure(label, estimate.value, estimate.low, estimate.high, signed, scope)


def negative(estimate: Estimate) -> Estimate:
    """Return the estimate of the opposite quantity."""
    return Estimate(-estimate.value, -estimate.high, -estimate.low, estimate.images, estimate.seeds)


def shifted(estimate: Estimate, by: float) -> Estimate:
    """Return the estimate of the quantity plus a number that is exact."""
    value, low, high = (each + by for each in (estimate.value, estimate.low, estimate.high))
    return Estimate(value, low, high, estimate.images, estimate.seeds)


def complement(estimate: Estimate) -> Estimate:
    """Return the estimate of one minus the quantity."""
    return Estimate(
        1 - estimate.value, 1 - estimate.high, 1 - estimate.low, estimate.images, estimate.seeds
    )


def evidence(
    subject: str, decisive: bool, figures: Sequence[Figure], verdict: Verdict, why: str = ""
) -> Evidence:
    """Return evidence; an objection (`why`) leaves the figures and takes the verdict."""
    return Evidence(subject, decisive, tuple(figures), Verdict.OPEN if why else verdict, why)


def with_others(
    of: Callable[[str, bool], Evidence],
    findings: Findings,
    deciding: Sequence[str],
    beside: Sequence[str],
) -> tuple[Evidence, ...]:
    """Return the evidence of the recipes that decide, and of those others that have figures."""
    others = [of(recipe, False) for recipe in beside if recipe in findings.results]
    return (*(of(recipe, True) for recipe in deciding), *(each for each in others if each.figures))


def stage_gain(runs: Sequence[RunRecord]) -> float | None:
    """Return what the best epoch of stage 2 has over that of stage 1: validation, mean of runs."""
    gains = []
    for run in runs:
        best: dict[str, float] = {}
        for epoch in run.history:
            if not math.isnan(epoch.validation):
                best[epoch.stage] = max(best.get(epoch.stage, 0.0), epoch.validation)
        if len(best) >= 2:
            first, second, *_ = best.values()
            gains.append(second - first)
    return fmean(gains) if gains else None


def late_gains(runs: Sequence[RunRecord], after: int, least: int) -> tuple[float, float] | None:
    """Return what the epochs after a certain one add to the first stage's accuracies.

    Args:
        runs: of one recipe.
        after: the epoch.
        least: epochs that the first stage must have.

    Returns:
        What the best validation accuracy and the training accuracy gain, means of the runs; None
        where no run has enough epochs.
    """
    validation, training = [], []
    for run in runs:
        known = [each for each in run.history if not math.isnan(each.validation)]
        stage = [each for each in known if each.stage == known[0].stage]
        if len(stage) < least:
            continue
        early = max(each.validation for each in stage[:after])
        validation.append(max(each.validation for each in stage) - early)
        training.append(stage[-1].train - stage[after - 1].train)
    return (fmean(validation), fmean(training)) if validation else None


def rarest(pool: Pool) -> int:
    """Return the emotion with the fewest images."""
    labels = pool.resampler.labels.tolist()
    return min(range(len(EMOTIONS)), key=labels.count)
