"""All runs' answers to the labeled images of one split, brought into one order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.align import align, take
from mien.evaluation.metrics import evaluate
from mien.evaluation.predictions import Predictions
from mien.experiments.report.figures import Accuracy, Difference
from mien.experiments.report.resampling import Correct, Resampler
from mien.experiments.report.run_folder import RunRecord


@dataclass(frozen=True, eq=False)
class Pool:
    """Predictions that can be compared image by image.

    Attributes:
        members: by the runs' names; labeled images only, all in the same order.
        resampler: of these images.
    """

    members: dict[str, Predictions]
    resampler: Resampler

    def __contains__(self, run: RunRecord) -> bool:
        return run.name in self.members

    def correct(self, runs: Sequence[RunRecord]) -> Correct:
        """Return which images each of the runs gets right: runs×N."""
        labels = self.resampler.labels
        answers = [self.members[run.name].probabilities.argmax(axis=1) for run in runs]
        return np.stack([each == labels for each in answers])

    def accuracy(self, runs: Sequence[RunRecord]) -> Accuracy:
        """Return how well runs of one recipe do."""
        correct = self.correct(runs)
        key = runs[0].recipe_name
        metrics = [evaluate(self.members[run.name]) for run in runs]
        return Accuracy(
            total=self.resampler.accuracy(key, correct),
            spread=float(correct.mean(axis=1).std(ddof=1)) if len(runs) > 1 else None,
            balanced=float(np.mean([each.balanced_accuracy for each in metrics])),
            macro_f1=float(np.mean([each.macro_f1 for each in metrics])),
            recalls=self.resampler.recalls(key, correct),
            confusion=np.sum([each.confusion for each in metrics], axis=0),
        )

    def difference(self, runs: Sequence[RunRecord], baseline: Sequence[RunRecord]) -> Difference:
        """Return what runs of one recipe gain over those of another."""
        keys = (runs[0].recipe_name, baseline[0].recipe_name)
        correct = (self.correct(runs), self.correct(baseline))
        return Difference(
            total=self.resampler.difference(keys, correct),
            recalls=tuple(
                self.resampler.difference(keys, correct, emotion)
                for emotion in range(len(EMOTIONS))
            ),
        )


def pool(runs: Sequence[RunRecord], split: str) -> tuple[Pool | None, dict[str, str]]:
    """Bring the runs' predictions of a split together.

    Most runs' images decide; a run that was made of others is left out, and so is one whose labels
    contradict.

    Returns:
        The pool, None where no image has a label; and by their names, why runs were left out.
    """
    left_out: dict[str, str] = {}
    found = {run.name: run.predictions[split] for run in runs if split in run.predictions}
    if not found:
        return None, left_out
    images = {name: _images(each) for name, each in found.items()}
    usual, _ = Counter(images.values()).most_common(1)[0]
    reference: Predictions | None = None
    members: dict[str, Predictions] = {}
    for name, predictions in found.items():
        if images[name] != usual:
            left_out[name] = f"its predictions for {split} are not of the images of the other runs"
            continue
        try:
            reference, aligned = align([reference or predictions, predictions])
        except MienError:
            left_out[name] = f"its labels for {split} contradict those of the other runs"
            continue
        members[name] = aligned
    if reference is None or not reference.labeled.any():
        return None, left_out
    known = reference.labeled
    labels = reference.labels[known]
    members = {
        name: take(each.with_labels(reference.names, reference.labels), known)
        for name, each in members.items()
    }
    return Pool(members, Resampler(labels)), left_out


def _images(predictions: Predictions) -> str:
    """Return a checksum of which images these are, in whatever order."""
    return hashlib.sha256("\0".join(sorted(predictions.names.tolist())).encode()).hexdigest()
