"""Ensembles of the runs at hand: every subset, every method, and who disagrees with whom."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.evaluation.compare import disagreement
from mien.evaluation.ensemble import FOLDS, METHODS, fit, out_of_fold
from mien.evaluation.predictions import Predictions
from mien.evaluation.stacking import stratified_folds
from mien.experiments.plan import Group
from mien.experiments.report.figures import Combination, EnsembleFigures, Estimate, Result, Subset
from mien.experiments.report.pool import Pool

LARGEST_SUBSET = 7
# Not stacking: to fit it to ten networks takes minutes.
_METHODS = ("mean", "logits", "vote", "weights", "greedy")
_TITLES: dict[Group, str] = {
    "paper": "The paper's networks",
    "scratch": "The paper's networks from scratch",
    "filters": "The 5-layer CNN behind different filters",
    "stand-in": "The stand-in behind different filters",
}
# The 5-layer CNN with its mask is a row that is from scratch itself, and one of the filters.
_ALSO: dict[Group, str] = {"scratch": "cnn5", "filters": "cnn5"}


def ensembles(results: Sequence[Result], pool: Pool | None) -> dict[Group, EnsembleFigures]:
    """Return the ensemble of each group of the plan that has two members or more.

    Of each recipe the run with the lowest seed is the member.
    """
    found: dict[Group, EnsembleFigures] = {}
    for group, title in _TITLES.items():
        members = [
            result
            for result in results
            if result.accuracy
            and (result.experiment.group == group or result.experiment.recipe == _ALSO.get(group))
        ]
        if pool is not None and len(members) > 1:
            needed = sum(
                each.experiment.member and each.experiment.group == "paper" for each in results
            )
            found[group] = _figures(title, members, pool, needed)
    return found


def _figures(title: str, results: list[Result], pool: Pool, needed: int) -> EnsembleFigures:
    predictions = [pool.members[result.runs[0].name] for result in results]
    labels = pool.resampler.labels
    stack = np.stack([each.probabilities for each in predictions]).astype(np.float64)
    alone = (stack.argmax(axis=2) == labels).mean(axis=1)
    choices = [
        chosen
        for size in range(1, min(len(results), LARGEST_SUBSET) + 1)
        for chosen in itertools.combinations(range(len(results)), size)
    ]
    right = np.stack([_right(stack, chosen, labels) for chosen in choices])
    subsets = [Subset(c, float(r.mean())) for c, r in zip(choices, right, strict=True)]
    paper = tuple(i for i, result in enumerate(results) if result.experiment.member)
    everyone = tuple(range(len(results)))
    return EnsembleFigures(
        title=title,
        members=tuple(result.experiment.title for result in results),
        seeds=tuple(result.runs[0].seed for result in results),
        accuracies=tuple(alone.tolist()),
        disagreement=disagreement(predictions),
        subsets=tuple(sorted(subsets, key=lambda s: (len(s.members), -s.accuracy))),
        chosen_blind=_chosen_blind(right, labels),
        combinations=_combinations(predictions),
        paper_members=paper,
        gain=_gain(stack, everyone, pool),
        paper_gain=_gain(stack, paper, pool) if len(paper) == needed else None,
        changed=tuple(result.experiment.title for result in results if result.changes),
        images=len(labels),
    )


def _right(
    stack: NDArray[np.float64], members: tuple[int, ...], labels: NDArray[np.int8]
) -> NDArray[np.bool_]:
    """Return which images the mean of some members' probabilities gets right."""
    answers = stack[list(members)].mean(axis=0).argmax(axis=1)
    return np.asarray(answers == labels)


def _gain(stack: NDArray[np.float64], members: tuple[int, ...], pool: Pool) -> Estimate:
    """Return what members gain together over the best of them, chosen on the same images."""
    labels = pool.resampler.labels
    together = _right(stack, members, labels)[None]
    best = max((_right(stack, (each,), labels)[None] for each in members), key=np.mean)
    return pool.resampler.difference(("together", "best"), (together, best))


def _chosen_blind(right: NDArray[np.bool_], labels: NDArray[np.int8]) -> float:
    """Return the accuracy of choosing a subset on four folds and measuring it on the fifth."""
    fold_of = stratified_folds(labels, FOLDS)
    hits = 0
    for fold in range(FOLDS):
        best = right[:, fold_of != fold].sum(axis=1).argmax()
        hits += int(right[best, fold_of == fold].sum())
    return hits / len(labels)


def _combinations(predictions: list[Predictions]) -> tuple[Combination, ...]:
    """Return what methods make of all members; one that cannot be fitted is left out."""
    found = []
    for name in _METHODS:
        method = METHODS[name]
        fitted = method.fit is not None
        try:
            made = out_of_fold(name, predictions) if fitted else fit(name, predictions)(predictions)
        except MienError:
            continue  # too few images to fit anything on
        accuracy = float((made.probabilities.argmax(axis=1) == made.labels).mean())
        found.append(Combination(method.about, accuracy, fitted))
    return tuple(found)
