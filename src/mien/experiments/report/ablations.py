"""The ablations: each recipe of their group against the base, and several views against one.

Images of the training split that a run did not learn from measure it too: they are many more than
those of the validation split, and did not choose the epoch that is kept. Those of a distilled run
do not: its teacher may have learned from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.evaluation.align import take
from mien.evaluation.metrics import evaluate
from mien.evaluation.predictions import Predictions
from mien.experiments.folders import predictions_file
from mien.experiments.report.ablation_figures import Ablations, Against, Level, Mean, Row, View
from mien.experiments.report.figures import Result
from mien.experiments.report.paired import Mask, Measured, Pairs, gains, measure
from mien.experiments.report.pool import Pool
from mien.experiments.report.run_folder import RunRecord
from mien.training.batches import training_places
from mien.training.run import Run

GROUP = "ablations"
_VIEWS = {"flip": "the image and its mirror image", "ten-crop": "ten crops"}


@dataclass(frozen=True, eq=False)
class _Answers:
    """What one run says to the images of a kind, and which of them measure it (`counted`, N)."""

    predictions: Predictions
    counted: Mask

    @property
    def right(self) -> Mask:
        right: Mask = self.predictions.probabilities.argmax(axis=1) == self.predictions.labels
        return right


_ByRun = Mapping[str, _Answers]


def ablations(
    folder: Path, split: str, results: Sequence[Result], pool: Pool | None
) -> Ablations | None:
    """Return what the ablations say; None where there are no runs of the base.

    Args:
        folder: of all runs.
        split: the report's.
        results: of the whole plan.
        pool: the runs' predictions for the report's split.
    """
    planned = [each for each in results if each.experiment.group == GROUP]
    own = [each for each in planned if each.accuracy]
    if pool is None or not own or own[0].experiment.baseline:
        return None
    runs = [run for result in own for run in result.runs]
    everything = np.ones(len(pool.resampler.labels), bool)
    measured = {run.name: _Answers(pool.members[run.name], everything) for run in runs}
    held_out = _held_out(folder, runs)
    rows = [
        Row(
            result.experiment,
            result.seeds,
            _level(result.runs, measured),
            _level(result.runs, held_out) if _covers(held_out, result.runs) else None,
        )
        for result in own
    ]
    fair = [result for result in own[1:] if not result.incomparable]
    gained = _against(own[0], fair, measured)
    gained_held_out = _against(own[0], fair, held_out)
    return Ablations(
        rows=tuple(
            replace(
                row,
                gain=gained.get(row.experiment.recipe),
                held_out_gain=gained_held_out.get(row.experiment.recipe),
            )
            for row in rows
        ),
        absent=tuple(each.experiment.title for each in planned if not each.accuracy),
        views=tuple(_views(folder, split, runs, measured)),
        held_out=min((int(each.counted.sum()) for each in held_out.values()), default=0),
    )


def _held_out(folder: Path, runs: Sequence[RunRecord]) -> dict[str, _Answers]:
    """Return what runs say to the training images that they did not learn from, in one order."""
    found: dict[str, _Answers] = {}
    names: NDArray[np.str_] | None = None
    for run in runs:
        assert run.recipe is not None
        training = run.recipe.training
        path = predictions_file(folder / run.name, training.train_split)
        if training.distill or not training.images or not path.is_file():
            continue
        try:
            predictions = Predictions.load(path)
            recipe = Run(folder / run.name).with_copies(run.recipe)
            learned = training_places(predictions.names, predictions.labels, recipe)
        except MienError:
            continue  # the row is measured on validation alone
        names = predictions.names if names is None else names
        if not np.array_equal(names, predictions.names):
            continue
        counted = predictions.labeled.copy()
        counted[learned] = False
        if counted.any():  # fewer images than the recipe wants leave none
            found[run.name] = _Answers(predictions, counted)
    return found


def _covers(answers: _ByRun, runs: Sequence[RunRecord]) -> bool:
    return all(run.name in answers for run in runs)


def _level(runs: Sequence[RunRecord], answers: _ByRun) -> Level:
    metrics = [
        evaluate(take(answers[run.name].predictions, answers[run.name].counted)) for run in runs
    ]
    return Level(
        _mean([each.accuracy for each in metrics]),
        _mean([each.balanced_accuracy for each in metrics]),
        _mean([each.macro_f1 for each in metrics]),
    )


def _mean(values: Sequence[float]) -> Mean:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Mean(float(np.mean(values)), spread)


def _against(base: Result, results: Sequence[Result], answers: _ByRun) -> dict[str, Against]:
    """Return what each recipe gains over the base, by its name, with the seeds that both have."""
    of_base = {run.seed: answers[run.name] for run in base.runs if run.name in answers}
    pairs = {}
    for result in results:
        own = {run.seed: answers[run.name] for run in result.runs if run.name in answers}
        seeds = sorted(own.keys() & of_base.keys())
        if seeds:
            each = [(own[seed], of_base[seed]) for seed in seeds]
            pairs[result.experiment.recipe] = _paired(each)
    return dict(zip(pairs, _gained(list(pairs.values())), strict=True))


def _paired(answers: Sequence[tuple[_Answers, _Answers]]) -> Pairs:
    return Pairs(
        labels=answers[0][0].predictions.labels,
        ours=np.stack([ours.right for ours, _ in answers]),
        theirs=np.stack([theirs.right for _, theirs in answers]),
        counted=np.stack([ours.counted & theirs.counted for ours, theirs in answers]),
    )


def _gained(pairs: Sequence[Pairs]) -> list[Against]:
    """Return the gains of several, whose seeds' variance is estimated together."""

    def of(balanced: bool) -> list[Measured]:
        return [measure(each, balanced=balanced) for each in pairs]

    both = zip(gains(of(balanced=False)), gains(of(balanced=True)), strict=True)
    return [Against(accuracy, balanced) for accuracy, balanced in both]


def _views(folder: Path, split: str, runs: Sequence[RunRecord], one_view: _ByRun) -> list[View]:
    """Return what several views gain over one with the same weights, in the mean of all runs."""
    found = []
    for tta, title in _VIEWS.items():
        answers = []
        for run in runs:
            path = predictions_file(folder / run.name, f"{split}-{tta}")
            if not path.is_file():
                continue
            one = one_view[run.name]
            several = Predictions.load(path)
            if np.array_equal(several.names, one.predictions.names):
                answers.append((_Answers(several, one.counted), one))
        if answers:
            [gain] = _gained([_paired(answers)])
            found.append(View(title, len(answers), gain))
    return found
