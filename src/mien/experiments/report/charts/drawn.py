"""From a report's figures to its charts."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from mien.emotions import EMOTIONS
from mien.experiments.report.ablation_figures import Ablations, Gain
from mien.experiments.report.charts import curves, dots, matrices
from mien.experiments.report.charts.dots import Row
from mien.experiments.report.figures import EnsembleFigures, Estimate, Report, Result
from mien.experiments.text import interval, numbers, percent, points


def overview(results: Sequence[Result]) -> Markup:
    """Return our accuracies beside the paper's."""
    rows = []
    for result in results:
        total = result.accuracy.total if result.accuracy else None
        ours = f"● {percent(total.value if total else None)}"
        paper = result.experiment.paper_final
        label = result.experiment.title.removesuffix(", from scratch")
        shown = f"◇ {paper:.1f}  {ours}" if paper is not None else ours
        rows.append(_row(label, shown, total, paper))
    return dots.dots("Accuracy in percent: ours with interval, and the paper's", rows)


def differences(results: Sequence[Result]) -> Markup:
    """Return what recipes gain over their baseline, with intervals."""
    rows = [
        _row(
            result.experiment.title.split(" + ", 1)[-1],
            f"{points(total.value)} ({interval(total, signed=True)})",
            total,
        )
        for result in results
        if result.difference
        for total in [result.difference.total]
    ]
    return dots.dots("Difference of accuracy to the baseline in points", rows, signed=True)


def gains(ablations: Ablations) -> Markup:
    """Return what each ablation gains in what it aims at, with intervals."""
    rows = [
        _row(
            row.experiment.title,
            f"{points(gain.value, 2)} ({interval(gain, signed=True, digits=2)})",
            gain,
        )
        for row in ablations.rows
        if (gain := row.decisive)
    ]
    return dots.dots("Gain over the base in points", rows, signed=True)


def class_changes(result: Result, limits: tuple[float, float]) -> Markup:
    """Return by how much each emotion's recall differs from the baseline's."""
    assert result.difference is not None
    title = f"{result.experiment.title}: difference of recall to the baseline in points"
    return dots.dots(title, _class_rows(result), signed=True, limits=limits)


def class_limits(results: Sequence[Result]) -> tuple[float, float]:
    """Return one axis for the changes of all results."""
    rows = [row for result in results if result.difference for row in _class_rows(result)]
    return dots.limits_of(rows, signed=True)


def _class_rows(result: Result) -> list[Row]:
    recalls = result.difference.recalls if result.difference else ()
    return [
        _row(emotion, f"{points(each.value)} ({interval(each, signed=True)})", each)
        for emotion, each in zip(EMOTIONS, recalls, strict=True)
    ]


def courses(report: Report) -> list[tuple[str, str, Markup]]:
    """Return the learning curves of every run that has some, on one axis: title, seeds, chart.

    The runs of an experiment that count are one chart; each other run has its own.
    """
    groups = [(_starred(each), each.runs) for each in report.results]
    groups += [(f"{other.run.name} (apart)", (other.run,)) for other in report.others]
    groups += [(f"{run.name} (does not count)", (run,)) for run, _ in report.broken]
    drawn = [
        (title, [run for run in runs if run.history and run.is_network]) for title, runs in groups
    ]
    limits = curves.limits_of([run.history for _, runs in drawn for run in runs])
    return [
        (
            title,
            numbers(tuple(run.seed for run in runs)),
            curves.curves(
                f"{title}: accuracy by epoch, training and validation",
                [run.history for run in runs],
                limits,
            ),
        )
        for title, runs in drawn
        if runs
    ]


def _starred(result: Result) -> str:
    return f"{result.experiment.title} *" if result.changes else result.experiment.title


def confusion(result: Result) -> Markup:
    """Return the confusion matrix of an experiment's runs together."""
    assert result.accuracy is not None
    title = f"{result.experiment.title}: confusion matrix, percent of each true emotion"
    return matrices.confusion(title, result.accuracy.confusion, EMOTIONS)


def disagreement(ensemble: EnsembleFigures) -> Markup:
    """Return who disagrees with whom; members by their number."""
    names = [str(number) for number in range(1, len(ensemble.members) + 1)]
    title = f"{ensemble.title}: percent of images to which two members give different emotions"
    return matrices.heat(title, ensemble.disagreement, names, names, full=0.5, left=26)


def subsets(ensemble: EnsembleFigures) -> Markup:
    """Return the accuracies of all subsets by size."""
    paper = ensemble.paper_subset
    return dots.columns(
        f"{ensemble.title}: accuracy in percent of every subset, by the number of members",
        [(len(each.members), 100 * each.accuracy) for each in ensemble.subsets],
        marked=(len(paper.members), 100 * paper.accuracy) if paper else None,
    )


def _row(
    label: str, shown: str, estimate: Estimate | Gain | None, paper: float | None = None
) -> Row:
    if estimate is None:
        return Row(label, shown, paper=paper)
    value, low, high = (100 * each for each in (estimate.value, estimate.low, estimate.high))
    return Row(label, shown, value, low, high, paper)
