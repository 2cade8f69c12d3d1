"""Bring several models' predictions for the same images into the same order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS, UNKNOWN
from mien.errors import MienError
from mien.evaluation.predictions import Predictions


def align(members: Sequence[Predictions], titles: Sequence[str] = ()) -> list[Predictions]:
    """Bring predictions for the same images into the order of the first.

    All get the same labels: an emotion that one of them knows is known.

    Args:
        members: at least one.
        titles: what errors call them; "member 1" and so on where not given.

    Raises:
        MienError: there are no images, some are missing in one of them, or two members name
            different emotions for an image; the message names member and image.
    """
    titles = titles or [f"member {number}" for number in range(1, len(members) + 1)]
    first = members[0]
    if not len(first):
        raise MienError(f"{titles[0]} has no predictions: there is not one image in it")
    place = np.argsort(first.names)
    labels = first.labels.copy()
    aligned = []
    for title, member in zip(titles, members, strict=True):
        _check_same_images(titles[0], first, title, member)
        rows = np.empty(len(first), np.intp)
        rows[place] = np.argsort(member.names)
        aligned.append(take(member, rows))
        given = aligned[-1].labels
        conflict = np.flatnonzero((labels != given) & (labels != UNKNOWN) & (given != UNKNOWN))
        if len(conflict):
            row = conflict[0]
            raise MienError(
                f"{title} says that the image {first.names[row]} is {EMOTIONS[given[row]]}, "
                f"those before it that it is {EMOTIONS[labels[row]]}",
                hint="combine predictions that were made of the same data set",
            )
        labels = np.where(labels == UNKNOWN, given, labels)
    return [replace(each, labels=labels) for each in aligned]


def _check_same_images(one: str, first: Predictions, other: str, second: Predictions) -> None:
    for title, missing in (
        (other, np.setdiff1d(first.names, second.names)),
        (one, np.setdiff1d(second.names, first.names)),
    ):
        if len(missing):
            shown = ", ".join(missing[:3].tolist()) + (", …" if len(missing) > 3 else "")
            raise MienError(
                f"{title} has no predictions for {len(missing):,} of the images: {shown}",
                hint="combine predictions that were made of the same split of the same data set",
            )


def take(predictions: Predictions, rows: NDArray[Any]) -> Predictions:
    """Return the predictions of some rows, given as a mask or as numbers, in their order."""
    return replace(
        predictions,
        names=predictions.names[rows],
        labels=predictions.labels[rows],
        probabilities=predictions.probabilities[rows],
    )
