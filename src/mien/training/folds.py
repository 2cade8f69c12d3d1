"""Out-of-fold predictions: every training image is classified by a run that never saw it.

The images of the training split are dealt to K folds (Stone 1974, "Cross-validatory choice and
assessment of statistical predictions"): every fold has its share of each class, and images that
show the same are in one fold, as a run would else recognize what it is to judge. For each fold an
ordinary run is trained with the fold as an exclusion list. `mien data audit` looks for wrong labels
with such predictions, and a network can be distilled from them (`training.distill`).

The folder holds `folds.json` (the recipe, the data's checksum, K), `fold-<k>.csv` (the lists),
`fold-<k>/` (the runs), and at the end `predictions/<split>.parquet`. All files are written whole
and what is there is not done again, so that work that was killed goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.cache import Dataset
from mien.data.duplicates import find_pairs
from mien.data.exclusion import Exclusion, excluded, read_exclusions, write_exclusions
from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.predict import answer
from mien.evaluation.predictions import Predictions
from mien.files import atomic_directory
from mien.progress import Progress, silent
from mien.training.batches import labeled_rows
from mien.training.device import Device
from mien.training.differences import differences
from mien.training.loop import check, start, train
from mien.training.recipe import Recipe, to_table, validate
from mien.training.run import Row, Run, load_classifier
from mien.version import __version__

_BATCH = 256


class Folds:
    """The folder of a cross-validation.

    Attributes:
        folder: where it is.
        recipe: what each fold is trained with.
        count: how many folds there are.
        checksum: that of the data set.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        file = self.folder / "folds.json"
        try:
            info = json.loads(file.read_text(encoding="utf-8"))
            self.count, self.checksum = int(info["folds"]), str(info["data"])
            self.recipe = validate(info["recipe"], str(file))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MienError(
                f"{self.folder} is no cross-validation: {error}",
                hint="begin one with: mien folds RECIPE --data DIR --out FOLDER",
            ) from error

    @property
    def predictions_file(self) -> Path:
        """Where the out-of-fold predictions lie in the end."""
        return self.folder / "predictions" / f"{self.recipe.training.train_split}.parquet"

    def run(self, number: int) -> Run:
        """Return the run of a fold, 1 to `count`."""
        return Run(self.folder / f"fold-{number}")

    def list_file(self, number: int) -> Path:
        """Return the file that names the images of a fold, 1 to `count`."""
        return self.folder / f"fold-{number}.csv"

    def recipe_of(self, number: int) -> Recipe:
        """Return the recipe of a fold's run."""
        recipe = Run(self.folder).with_copies(self.recipe)
        training = recipe.training
        lists = (*training.exclude, str(self.list_file(number)))
        return recipe.model_copy(
            update={"training": training.model_copy(update={"exclude": lists})}
        )


def begin(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path | str,
    count: int,
    *,
    progress: Progress = silent,
) -> Folds:
    """Begin a cross-validation, or return the one that was begun in the folder.

    Args:
        recipe: of a network.
        dataset: its training split is what is dealt.
        folder: a new one, or that of a cross-validation with the same recipe, data and count.
        count: how many folds, at least 2.
        progress: told how many images were compared with the others.

    Raises:
        MienError: the folder holds something else, there are fewer images than folds, or the
            recipe cannot be trained; see `mien.training.loop.start`.
    """
    folder = Path(folder)
    if (folder / "folds.json").is_file():
        return _begun(Folds(folder), recipe, dataset, count)
    check(recipe, dataset)
    rows = labeled_rows(dataset, recipe.training.train_split)
    groups = _groups(np.asarray(dataset.images[rows]), progress)
    fold_of = deal(np.asarray(dataset.labels[rows]), groups, count)
    if len(np.unique(fold_of)) < count:
        raise MienError(
            f"{len(rows)} images, those that show the same together, do not fill {count} folds",
            hint="take fewer folds",
        )
    with atomic_directory(folder) as temporary:
        Run(temporary).copy_files(recipe)
        info = {"folds": count, "data": dataset.checksum, "recipe": to_table(recipe)}
        (temporary / "folds.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
        for number in range(1, count + 1):
            names = dataset.names[rows[fold_of == number - 1]].tolist()
            listed = (Exclusion(recipe.training.train_split, name, "held out") for name in names)
            write_exclusions(listed, temporary / f"fold-{number}.csv")
    return Folds(folder)


def _begun(folds: Folds, recipe: Recipe, dataset: Dataset, count: int) -> Folds:
    """Refuse to go on with another cross-validation than was begun."""
    if changed := differences(folds.recipe, recipe):
        what = f"the recipe's {changed[0].key} {changed[0].first!r}, not {changed[0].second!r}"
    elif folds.count != count:
        what = f"{folds.count} folds, not {count}"
    elif folds.checksum != dataset.checksum:
        what = "another data set"
    else:
        return folds
    raise MienError(
        f"{folds.folder} was begun with {what}",
        hint="go on as it was begun, or choose another --out",
    )


def deal(labels: NDArray[np.int8], groups: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Deal images to folds: each fold has its share of every class, a group stays together.

    Large groups are dealt first, those of one size in an order that is always the same.

    Args:
        labels: N, 0 to 6.
        groups: N, from 0 on without a gap; images of one group come into one fold.
        count: how many folds.

    Returns:
        N, 0 to `count` - 1.
    """
    classes = np.zeros((groups.max() + 1, len(EMOTIONS)), np.int64)
    np.add.at(classes, (groups, labels), 1)
    order = np.random.default_rng(0).permutation(len(classes))
    order = order[np.argsort(-classes[order].sum(axis=1), kind="stable")]
    tally = np.zeros((count, len(EMOTIONS)), np.int64)
    fold_of = np.empty(len(classes), np.intp)
    for group in order:
        # The fold that has the fewest of the group's classes; of such the smallest.
        fold = np.lexsort((tally.sum(axis=1), tally @ classes[group]))[0]
        fold_of[group] = fold
        tally[fold] += classes[group]
    return fold_of[groups]


def _groups(images: NDArray[np.uint8], progress: Progress) -> NDArray[np.intp]:
    """Number the images so that those that show the same, in however many steps, share a number."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = find_pairs(images, progress=progress)
    shape = (len(images), len(images))
    graph = coo_array((np.ones(len(pairs)), (pairs.first, pairs.second)), shape=shape)
    groups: NDArray[np.intp] = connected_components(graph, directed=False)[1].astype(np.intp)
    return groups


def train_folds(
    folds: Folds,
    dataset: Dataset,
    device: Device | None = None,
    *,
    data_folder: Path | str | None = None,
    progress: Callable[[int], Progress] = lambda number: silent,
    on_epoch: Callable[[int, Row], None] = lambda number, row: None,
) -> Predictions:
    """Train what is not trained yet, and write the out-of-fold predictions.

    Args:
        folds: what `begin` returned.
        dataset: what it was begun with.
        device: where to compute; one device.
        data_folder: where the data set lies, for the runs to remember.
        progress: given a fold's number, says whom to tell of the steps of its training.
        on_epoch: called with each epoch's fold and row of the history.

    Returns:
        For all labeled images of the training split, in their order.

    Raises:
        MienError: as `mien.training.loop.train`.
    """
    for number in range(1, folds.count + 1):
        run = folds.run(number)
        if not run.recipe_file.is_file():
            start(folds.recipe_of(number), dataset, run.folder, data_folder)
        if not run.is_finished():
            report = _numbered(on_epoch, number)
            train(run, dataset, device, progress=progress(number), on_epoch=report)
    split = folds.recipe.training.train_split
    rows = labeled_rows(dataset, split)
    probabilities = np.empty((len(rows), len(EMOTIONS)), np.float32)
    for number in range(1, folds.count + 1):
        own = excluded(read_exclusions([folds.list_file(number)]), split, dataset.names[rows])
        probabilities[own] = _held_out(folds.run(number), dataset, rows[own])
    predictions = Predictions(
        names=np.array(dataset.names[rows]),
        labels=np.array(dataset.labels[rows]),
        probabilities=probabilities,
        info={
            "model": folds.folder.resolve().name,
            "split": split,
            "folds": folds.count,
            "tta": "none",
            "data": dataset.checksum,
            "mien": __version__,
        },
    )
    predictions.save(folds.predictions_file)
    return predictions


def _numbered(on_epoch: Callable[[int, Row], None], number: int) -> Callable[[Row], None]:
    return lambda row: on_epoch(number, row)


def _held_out(run: Run, dataset: Dataset, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return what a finished run says of the rows that it did not see, float32 N×7."""
    classifier = load_classifier(run.folder)
    parts = np.split(rows, range(_BATCH, len(rows), _BATCH))
    return np.concatenate([answer(classifier, dataset.images[part]) for part in parts])
