"""The members that `mien ensemble` is given: what they are, and their predictions for a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.data.cache import Dataset
    from mien.evaluation.ensemble_folder import Member
    from mien.evaluation.predictions import Predictions

_SPLIT = "{split}"


@dataclass(frozen=True)
class Sources:
    """The members as given on the command line.

    Attributes:
        given: folders of runs or ensembles, .onnx files, and predictions files, whose names may
            have {split} in place of the split.
        tta: the test-time augmentation that the predictions are made with.
        dataset: what models are run on that have no predictions yet; None where not given.
    """

    given: Sequence[str]
    tta: str
    dataset: Dataset | None

    @property
    def titles(self) -> list[str]:
        """Short names of the members, or the members as given where these are not unique."""
        paths = [Path(member) for member in self.given]
        short = [path.resolve().name if path.is_dir() else path.stem for path in paths]
        return short if len(set(short)) == len(short) else list(self.given)

    def check(self, splits: Sequence[str]) -> None:
        """Refuse a member that is given twice, or a file that cannot stand for all the splits."""
        seen: set[Path] = set()
        for member in self.given:
            path = Path(member).resolve()
            if path in seen:
                raise click.UsageError(f"{member} is given twice")
            seen.add(path)
            if len(splits) > 1 and _SPLIT not in member and not _is_model(path):
                raise MienError(
                    f"{member} is of one split, and the predictions for {' and '.join(splits)} "
                    "are needed",
                    hint="write {split} where the names of the files have the split, "
                    "as in 'results/cnn5-{split}.parquet'",
                )

    def load(self, split: str, output: Output) -> list[Predictions]:
        """Return each member's predictions for a split: those it has, or new ones.

        Raises:
            MienError: there are none and no data to make them of, they are of other weights or of
                another split, or a file is damaged; the message names the member.
        """
        loaded = []
        for given, title in zip(self.given, self.titles, strict=True):
            path = Path(given.replace(_SPLIT, split))
            if _is_model(path):
                loaded.append(self._of_model(path, title, split, output))
            else:
                loaded.append(_read(path, split))
        return loaded

    def models(self) -> list[Member] | None:
        """Return the members as models; None where one of them is predictions only.

        A run whose weights are not there (they may be kept elsewhere) is predictions only too.
        """
        from mien.classifiers import find_weights
        from mien.evaluation.ensemble_folder import Member
        from mien.files import sha256

        found = []
        for given, title in zip(self.given, self.titles, strict=True):
            weights = find_weights(given) if _is_model(Path(given)) else None
            if weights is None:
                return None
            found.append(Member(title, Path(given), weights, sha256(weights)))
        return found

    def _of_model(self, path: Path, title: str, split: str, output: Output) -> Predictions:
        from mien.classifiers import classify

        file = path / "predictions" / f"{file_stem(split, self.tta)}.parquet"
        if file.is_file():
            predictions = _read(file, split)
            stale = _stale(predictions, path, self.dataset)
            if stale is None:
                return predictions
        else:
            stale = f"{path} is a model, not its predictions"
            if path.is_dir():
                stale = f"the run {path} has no {file.relative_to(path)}"
        if self.dataset is None:
            option = "" if self.tta == "none" else f" --tta {self.tta}"
            raise MienError(
                stale,
                hint=f"give the data with --data DIR, or make them with: mien evaluate {path} "
                f"--data DIR --split {split}{option}",
            )
        output.detail(f"{stale}; classifying {split} with {title}")
        with output.progress(f"classifying {split} with {title}") as progress:
            return classify(path, self.dataset, split, tta=self.tta, progress=progress)


def file_stem(split: str, tta: str) -> str:
    """Return how `mien evaluate` names the predictions of a split."""
    return split if tta == "none" else f"{split}-{tta}"


def _is_model(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() == ".onnx"


def _read(file: Path, split: str) -> Predictions:
    from mien.evaluation.predictions import Predictions

    predictions = Predictions.load(file)
    made_of = predictions.info.get("split", split)
    if made_of != split:
        raise MienError(
            f"{file} has predictions for the split {made_of!r}, not {split!r}",
            hint="choose the splits with --select and --report",
        )
    return predictions


def _stale(predictions: Predictions, path: Path, dataset: Dataset | None) -> str | None:
    """Return why predictions are not those of a model as it is now; None where they are."""
    from mien.classifiers import find_weights
    from mien.files import sha256

    made_by, weights = predictions.info.get("model_sha256"), find_weights(path)
    if made_by is not None and weights is not None and made_by != sha256(weights):
        return f"the predictions of {path} were made with other weights than it has now"
    made_of = predictions.info.get("data")
    if dataset is not None and made_of is not None and made_of != dataset.checksum:
        return f"the predictions of {path} were made of other data"
    return None
