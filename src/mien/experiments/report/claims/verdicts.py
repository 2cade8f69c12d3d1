"""The rules by which figures become verdicts, each with the sentence that a report states it in."""

from __future__ import annotations

from collections.abc import Sequence

from mien.experiments.report.figures import Estimate, Result
from mien.experiments.report.judgments import Verdict

FEWEST_SEEDS = 2


def band(stated: float) -> tuple[float, float]:
    """Return what "about" a stated effect is taken to mean: from half of it to half more."""
    return stated / 2, stated * 1.5


def about(estimate: Estimate, stated: float) -> Verdict:
    """Judge whether a gain is about as large as is stated; see `about_rule`."""
    low, high = band(stated)
    if estimate.low > 0 and low <= estimate.value <= high:
        return Verdict.SUPPORTED
    if estimate.high < low or estimate.low > high:
        return Verdict.CONTRADICTED
    return Verdict.OPEN


def about_rule(stated: float) -> str:
    """Return the rule of `about` in words."""
    low, high = (f"{100 * each:.3g}" for each in band(stated))
    return (
        f"“About” is read as {low} to {high} points. Supported: the interval lies above 0 and the "
        "figure is within these. Contradicted: the whole interval is outside of them."
    )


def all_positive(estimates: Sequence[Estimate]) -> Verdict:
    """Judge whether all of several quantities are above 0."""
    if any(each.high < 0 for each in estimates):
        return Verdict.CONTRADICTED
    if all(each.low > 0 for each in estimates):
        return Verdict.SUPPORTED
    return Verdict.OPEN


def most(cases: Sequence[bool]) -> Verdict:
    """Judge whether more than half of the cases are so."""
    return Verdict.SUPPORTED if 2 * sum(cases) > len(cases) else Verdict.CONTRADICTED


def objection(result: Result | None, seeds: int) -> str:
    """Return why an experiment's runs cannot decide a claim, or an empty text.

    Args:
        result: of the experiment; None where the plan has none.
        seeds: how many are needed.
    """
    if result is None or result.accuracy is None:
        return result.status if result else "not in the plan"
    if result.changes:
        return f"{result.experiment.title} was not run as its recipe says"
    if len(result.seeds) < seeds:
        return f"{result.experiment.title}: one seed alone does not show how much trainings vary"
    return ""


PAIR_RULE = (
    f"A difference between two recipes needs both as the package has them, with {FEWEST_SEEDS} "
    "seeds or more."
)
