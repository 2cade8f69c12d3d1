"""What `mien ensemble` prints, as tables or as JSON; imported when there is something to print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.cli.common import Output
from mien.evaluation.compare import Comparison, compare, disagreement
from mien.evaluation.ensemble import Combiner
from mien.evaluation.metrics import Metrics, evaluate
from mien.evaluation.predictions import Predictions


@dataclass(frozen=True, eq=False)
class Result:
    """What is presented.

    `cross_validated` only where the fitted images are those reported; `model`, the folder that can
    be used like a run, only where all members are models.
    """

    titles: Sequence[str]
    members: Sequence[Predictions]
    combiner: Combiner
    combined: Predictions
    cross_validated: Predictions | None
    file: Path
    model: Path | None

    @property
    def ensembles(self) -> dict[str, Predictions]:
        """The combined predictions to measure, under the keys of the JSON."""
        both = {"ensemble": self.combined, "cross_validated": self.cross_validated}
        return {key: each for key, each in both.items() if each is not None}

    @property
    def shares(self) -> list[float] | None:
        """The members' weights with the sum 1, where the method has such."""
        weights = self.combiner.parameters.get("weights")
        return None if weights is None else (weights / weights.sum()).tolist()


def _measure(result: Result) -> tuple[list[Metrics], dict[str, Metrics]] | None:
    """Return the figures of the members and of the ensembles; None where no label is known."""
    if not result.combined.labeled.any():
        return None
    members = [evaluate(each) for each in result.members]
    return members, {key: evaluate(each) for key, each in result.ensembles.items()}


def _compare(result: Result, members: Sequence[Metrics]) -> tuple[int, dict[str, Comparison]]:
    """Return which member is best, and how the ensembles do against it."""
    scores = [(each.accuracy, -each.log_loss) for each in members]
    best = scores.index(max(scores))
    against = result.members[best]
    return best, {key: compare(each, against) for key, each in result.ensembles.items()}


def to_json(result: Result) -> dict[str, Any]:
    """Return everything as plain JSON values."""
    values: dict[str, Any] = {
        **result.combined.info,
        "images": len(result.combined),
        "members": list(result.titles),
        "weights": result.shares,
        "disagreement": disagreement(result.members).tolist(),
        "predictions": str(result.file),
        "folder": None if result.model is None else str(result.model),
        "metrics": None,
    }
    measured = _measure(result)
    if measured:
        members, ensembles = measured
        best, comparisons = _compare(result, members)
        values["metrics"] = {
            "members": [each.to_dict() for each in members],
            **{key: each.to_dict() for key, each in ensembles.items()},
        }
        values["best_member"] = result.titles[best]
        values["gain"] = {key: each.to_dict() for key, each in comparisons.items()}
    return values


def present(output: Output, result: Result) -> None:
    """Print everything as tables."""
    count, split = len(result.combined), result.combined.info["split"]
    output.result(f"{split}: {count:,} images, {len(result.members)} members")
    measured = _measure(result)
    if measured:
        members, ensembles = measured
        _print_figures(output, result, members, ensembles)
    else:
        output.note("without labels there are predictions, but nothing can be measured")
    _print_disagreement(output, result)
    if measured:
        _print_gain(output, result, members)
    output.result(f"predictions: {result.file}")
    if result.model is not None:
        output.result(f"model: {result.model}")


def _print_figures(
    output: Output, result: Result, members: Sequence[Metrics], ensembles: dict[str, Metrics]
) -> None:
    named = list(zip(result.titles, members, strict=True))
    named += [(_spoken(key, result), each) for key, each in ensembles.items()]
    shares = result.shares
    columns = ["member", "accuracy", "balanced accuracy", "macro F1"]
    rows = [
        [title, f"{each.accuracy:.2%}", f"{each.balanced_accuracy:.2%}", f"{each.macro_f1:.4f}"]
        for title, each in named
    ]
    if shares:
        columns.append("weight")
        cells = [f"{share:.3f}" for share in shares] + [""] * len(ensembles)
        rows = [[*row, cell] for row, cell in zip(rows, cells, strict=True)]
    output.table(columns, rows)


def _print_disagreement(output: Output, result: Result) -> None:
    shares = disagreement(result.members)
    numbers = [str(number) for number in range(1, len(shares) + 1)]
    rows = [
        [f"{number} {title}", *(f"{share:.1%}" for share in row)]
        for number, title, row in zip(numbers, result.titles, shares, strict=True)
    ]
    output.table(["disagreement", *numbers], rows)


def _print_gain(output: Output, result: Result, members: Sequence[Metrics]) -> None:
    best, comparisons = _compare(result, members)
    each = list(comparisons.values())
    rows = [
        ["gain (points)", *(f"{100 * c.gain:+.2f}" for c in each)],
        ["  95 % interval", *("{:+.2f} to {:+.2f}".format(*_points(c)) for c in each)],
        ["only the ensemble is right", *(f"{c.only_first:,}" for c in each)],
        ["only the member is right", *(f"{c.only_second:,}" for c in each)],
        ["McNemar's p value", *(f"{c.p_value:.2g}" for c in each)],
    ]
    columns = [f"against {result.titles[best]}", *(_spoken(key, result) for key in comparisons)]
    output.table(columns, rows)


def _points(comparison: Comparison) -> tuple[float, float]:
    low, high = comparison.interval
    return 100 * low, 100 * high


def _spoken(key: str, result: Result) -> str:
    return f"ensemble ({result.combiner.method}{', cross-validated' if key != 'ensemble' else ''})"
