"""The audit: everything about a data set's images and labels that one should look at.

Each thing found is a `Finding`, a row of `audit.csv`; `mien.data.audit_files` writes them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.data.cache import Dataset
from mien.data.confident import LabelErrors, find_label_errors
from mien.data.defects import BORDER, DRAWN, border_shares, drawn_scores, is_blank
from mien.data.describe import UNLABELED
from mien.data.duplicates import Pairs, find_pairs, prepare
from mien.data.leaks import TRAIN
from mien.emotions import EMOTIONS, UNKNOWN
from mien.errors import MienError
from mien.progress import Progress, silent

FINDINGS: dict[str, str] = {
    "blank": "one value throughout",
    "conflict": "shows the same as another of its split that has another label",
    "leak": "for training, and equal to one of another split",
    "near-leak": "for training, and shows the same as one of another split",
    "seen": "equal to one for training",
    "near-seen": "shows the same as one for training",
    "overlap": "equal to one of another split, neither for training",
    "near-overlap": "shows the same as one of another split, neither for training",
    "duplicate": "equal to an earlier one of its split",
    "near-duplicate": "shows the same as an earlier one of its split",
    "no-face": "a detector finds no face",
    "drawn": "plain areas with hard edges: a drawing, a sign, text",
    "border": "a plain stripe along a side",
    "label-error": "the label is probably wrong",
}
"""What can be found, and what it says of an image; the gravest first."""

NO_FACE = 0.1
"""Below which score of `mien.recognition.presence` an image is listed as without a face."""

_BATCH = 1024

FaceScores = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Says how sure it is (0 to 1) that there is a face in each of N uint8 images."""


@dataclass(frozen=True)
class Finding:
    """Something to look at in an image.

    Attributes:
        finding: one of the `FINDINGS`.
        split: the image's.
        name: the image's.
        label: the image's, or "unlabeled".
        other_split: of the image that it is compared with; empty for findings of one image.
        other: the name of that image.
        other_label: its label; for a label error, the label that the image should rather have.
        score: of two images, their correlation; of a border, its share of the area; of a drawn
            one, `drawn_scores`; of a face, the detector's score; of a label error, the normalized
            margin (the lower, the more suspicious); 1 for a blank image.
    """

    finding: str
    split: str
    name: str
    label: str
    other_split: str
    other: str
    other_label: str
    score: float


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        findings: by finding in the order of `FINDINGS`, within one the clearest first.
        looked_for: which of the `FINDINGS` were looked for.
        label_errors: by split, what confident learning said.
    """

    findings: tuple[Finding, ...]
    looked_for: tuple[str, ...]
    label_errors: Mapping[str, LabelErrors]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return for each finding that was looked for how many images have it, by split."""
        images: dict[str, dict[str, set[str]]] = {finding: {} for finding in self.looked_for}
        for each in self.findings:
            images[each.finding].setdefault(each.split, set()).add(each.name)
        return {
            finding: {split: len(names) for split, names in splits.items()}
            for finding, splits in images.items()
        }


def audit(
    dataset: Dataset,
    *,
    probabilities: Mapping[str, NDArray[np.float32]] | None = None,
    faces: FaceScores | None = None,
    progress: Progress = silent,
) -> Audit:
    """Look at all images of a data set, and at the labels of some splits.

    Args:
        dataset: with splits of any names; the one called `train` is for training.
        probabilities: by split, n×7 in the order of the split's images, NaN where there are none;
            out of sample, see `find_label_errors`.
        faces: looks for faces; None leaves this out.
        progress: is told how many of the steps are done: an image looked at is one, and an image
            compared with a split's.

    Raises:
        MienError: no image of a split has both a label and probabilities.
    """
    probabilities = probabilities or {}
    findings: list[Finding] = []
    label_errors = {}
    for split, given in probabilities.items():
        label_errors[split], suspects = _of_labels(dataset, split, given)
        findings += suspects
    queries = {
        split: prepare(np.asarray(dataset.images[dataset.indices(split)]))
        for split in dataset.split_names
    }
    combinations = list(itertools.combinations_with_replacement(queries, 2))
    total = len(dataset) + sum(len(queries[later].groups) for _, later in combinations)
    findings += _of_single_images(dataset, faces, _part(progress, 0, total))
    done = len(dataset)
    for earlier, later in combinations:
        other = None if earlier == later else queries[later]
        pairs = find_pairs(queries[earlier], other, progress=_part(progress, done, total))
        findings += _of_pairs(dataset, earlier, later, pairs)
        if earlier == later:
            findings += _conflicts(dataset, dataset.indices(later), queries[later].groups, pairs)
        done += len(queries[later].groups)
    order = list(FINDINGS)
    # Of faces and labels a low score is the clearest, of the others a high one.
    low = ("no-face", "label-error")
    findings.sort(
        key=lambda each: (
            order.index(each.finding),
            each.score if each.finding in low else -each.score,
        )
    )
    left_out = {"no-face"} if faces is None else set()
    left_out |= set() if probabilities else {"label-error"}
    looked_for = tuple(finding for finding in FINDINGS if finding not in left_out)
    return Audit(tuple(findings), looked_for, label_errors)


def _part(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)


def _label(dataset: Dataset, row: int) -> str:
    label = int(dataset.labels[row])
    return UNLABELED if label == UNKNOWN else EMOTIONS[label]


def _finding(
    dataset: Dataset, finding: str, row: int, score: float, other: int | None = None
) -> Finding:
    return Finding(
        finding,
        dataset.split_names[dataset.splits[row]],
        str(dataset.names[row]),
        _label(dataset, row),
        "" if other is None else dataset.split_names[dataset.splits[other]],
        "" if other is None else str(dataset.names[other]),
        "" if other is None else _label(dataset, other),
        round(float(score), 4),
    )


def _of_single_images(
    dataset: Dataset, faces: FaceScores | None, progress: Progress
) -> Iterator[Finding]:
    for start in range(0, len(dataset), _BATCH):
        images = np.asarray(dataset.images[start : start + _BATCH])
        blank = is_blank(images)
        borders, drawn = border_shares(images), drawn_scores(images)
        scores = None if faces is None else faces(images)
        for place in range(len(images)):
            row = start + place
            if blank[place]:
                yield _finding(dataset, "blank", row, 1)
                continue
            if borders[place] >= BORDER:
                yield _finding(dataset, "border", row, borders[place])
            if drawn[place] >= DRAWN:
                yield _finding(dataset, "drawn", row, drawn[place])
            if scores is not None and scores[place] < NO_FACE:
                yield _finding(dataset, "no-face", row, scores[place])
        progress(start + len(images), None)


def _of_pairs(dataset: Dataset, earlier: str, later: str, pairs: Pairs) -> Iterator[Finding]:
    first, second = dataset.indices(earlier)[pairs.first], dataset.indices(later)[pairs.second]
    for a, b, score, exact in zip(
        first.tolist(),
        second.tolist(),
        pairs.similarity.tolist(),
        pairs.exact.tolist(),
        strict=True,
    ):
        near = "" if exact else "near-"
        if earlier == later:
            yield _finding(dataset, f"{near}duplicate", b, score, a)
        elif TRAIN in (earlier, later):
            trained, measured = (a, b) if earlier == TRAIN else (b, a)
            yield _finding(dataset, f"{near}leak", trained, score, measured)
            yield _finding(dataset, f"{near}seen", measured, score, trained)
        else:
            yield _finding(dataset, f"{near}overlap", b, score, a)


def _conflicts(
    dataset: Dataset, rows: NDArray[np.intp], groups: Sequence[Sequence[int]], pairs: Pairs
) -> Iterator[Finding]:
    """Give each image that an equal or alike one of its split contradicts, once a group of these.

    `pairs` do not list every two of several equal images, so groups of equal ones are compared.
    """
    group_of = {place: number for number, places in enumerate(groups) for place in places}
    links = {
        (group_of[a], group_of[b]): score
        for a, b, score in zip(
            pairs.first.tolist(), pairs.second.tolist(), pairs.similarity.tolist(), strict=True
        )
    }
    labels = np.asarray(dataset.labels)[rows]
    for (one, other), score in links.items():
        for ours, theirs in ((one, other), (other, one))[: 1 if one == other else 2]:
            for place in groups[ours]:
                known = {labels[place], UNKNOWN}
                against = next((each for each in groups[theirs] if labels[each] not in known), None)
                if labels[place] != UNKNOWN and against is not None:
                    yield _finding(dataset, "conflict", rows[place], score, rows[against])


def _of_labels(
    dataset: Dataset, split: str, probabilities: NDArray[np.float32]
) -> tuple[LabelErrors, Sequence[Finding]]:
    rows = dataset.indices(split)
    known = np.isfinite(probabilities).all(axis=1) & (dataset.labels[rows] != UNKNOWN)
    if not known.any():
        raise MienError(
            f"wrong labels of the split {split!r} cannot be looked for: none of its images has "
            "both a label and probabilities",
            hint="give predictions for a split with labels",
        )
    rows = rows[known]
    errors = find_label_errors(np.asarray(dataset.labels[rows]), probabilities[known])
    findings = [
        Finding(
            "label-error",
            split,
            str(dataset.names[rows[suspect]]),
            _label(dataset, rows[suspect]),
            "",
            "",
            EMOTIONS[suggested],
            round(float(margin), 4),
        )
        for suspect, suggested, margin in zip(
            errors.suspects, errors.suggested, errors.margins, strict=True
        )
    ]
    return errors, findings
