"""Each experiment of the plan with those of its runs that count, and what stands apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mien.experiments.plan import EXPERIMENTS, Experiment
from mien.experiments.report.changes import Change, compared
from mien.experiments.report.figures import Other, Result
from mien.experiments.report.pool import Pool
from mien.experiments.report.run_folder import RunRecord
from mien.training.recipe import load as load_recipe


@dataclass(frozen=True)
class Sorted:
    """Runs in their places: the plan's experiments, runs that stand apart, runs of no use."""

    results: tuple[Result, ...]
    others: tuple[Other, ...]


def sort_runs(runs: Sequence[RunRecord], pool: Pool | None, test: Pool | None) -> Sorted:
    """Give each experiment its runs, and say why others stand apart.

    Args:
        runs: with those that have a problem.
        pool: the report's split.
        test: the test split, where its labels are known.
    """
    planned = {experiment.recipe for experiment in EXPERIMENTS}
    by_recipe: dict[str, list[RunRecord]] = defaultdict(list)
    others: list[Other] = []
    for run in runs:
        why = _apart(run, planned)
        if not why:
            by_recipe[run.recipe_name].append(run)
        elif not run.problem:
            others.append(_other(run, why, pool))
    results: dict[str, Result] = {}
    for experiment in EXPERIMENTS:
        result, left = _result(experiment, by_recipe[experiment.recipe], pool, test)
        results[experiment.recipe] = result
        others += left
    compared = tuple(_compared(each, results, pool) for each in results.values())
    return Sorted(compared, tuple(others))


def _apart(run: RunRecord, planned: set[str]) -> str:
    """Return why a run is none of the plan's, or an empty text."""
    if run.recipe_name not in planned:
        return "it is not in the plan"
    if run.data.get("sources") or (run.recipe and run.recipe.training.source_weights):
        return "it was trained on several sources of data"
    return ""


def _other(run: RunRecord, why: str, pool: Pool | None) -> Other:
    return Other(run, why, pool.accuracy([run]) if pool and run in pool else None)


def _result(
    experiment: Experiment, runs: list[RunRecord], pool: Pool | None, test: Pool | None
) -> tuple[Result, list[Other]]:
    """Return an experiment's result, and its runs whose recipe is not that of those that count."""
    whole = [run for run in runs if not run.problem]
    if not whole:
        status = f"no run that counts: {runs[0].problem}" if runs else "not run"
        return Result(experiment, status=status), []
    variants: dict[tuple[Change, ...], list[RunRecord]] = defaultdict(list)
    for run in whole:
        variants[run.changes].append(run)
    # Those that are nearest to the package's recipe count; of equals, the larger group.
    chosen = min(variants, key=lambda changes: (len(changes), -len(variants[changes])))
    counted = tuple(sorted(variants.pop(chosen), key=lambda run: run.seed))
    left = [
        _other(run, f"it is {run.recipe_name} with another recipe than the runs that count", pool)
        for group in variants.values()
        for run in group
    ]
    if pool is None:
        return Result(experiment, counted, status="the split has no labels"), left
    in_test = test is not None and all(run in test for run in counted)
    return (
        Result(
            experiment,
            counted,
            accuracy=pool.accuracy(counted),
            test=test.accuracy(counted).total if test is not None and in_test else None,
            status="",
        ),
        left,
    )


def _compared(result: Result, results: dict[str, Result], pool: Pool | None) -> Result:
    """Return a result with its difference to its baseline, where that is fair."""
    baseline = results.get(result.experiment.baseline or "")
    if pool is None or baseline is None or not result.accuracy or not baseline.accuracy:
        return result
    ours, theirs = result.runs[0].recipe, baseline.runs[0].recipe
    assert ours is not None
    assert theirs is not None
    meant = compared(load_recipe(result.experiment.recipe), load_recipe(baseline.experiment.recipe))
    keys = {change.key for change in meant}
    more = [change.key for change in compared(ours, theirs) if change.key not in keys]
    if more:
        return replace(
            result,
            incomparable=f"as run it also differs from {baseline.experiment.title} "
            f"in {', '.join(more)}",
        )
    return replace(result, difference=pool.difference(result.runs, baseline.runs))
