"""`mien data audit`: what one should look at before training on a data set."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.errors import MienError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mien.data.audit import Audit, FaceScores
    from mien.data.cache import Dataset
    from mien.data.exclusion import Exclusion

_FOLDER = click.Path(file_okay=False, path_type=Path)

# As in mien.data.audit and mien.data.audit_files, which would load OpenCV for `--help`.
FINDINGS = (
    *("blank", "conflict", "leak", "near-leak", "seen", "near-seen", "overlap", "near-overlap"),
    *("duplicate", "near-duplicate", "no-face", "drawn", "border", "label-error"),
)
REASONS = ("blank", "conflict", "leak", "near-leak")


@click.command(short_help="List duplicates, blank images and probable label errors.")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--out", required=True, type=_FOLDER, help="The new folder for lists and sheets.")
@click.option(
    "--probabilities",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Predictions for a split by models that were not trained on it, to find wrong labels "
    "with: for the training split, those of mien folds.",
)
@click.option(
    "--faces",
    metavar="auto|none|FILE",
    default="auto",
    show_default=True,
    help="Look for faces with YuNet: where mien weights has it, not at all, or with this .onnx.",
)
@click.option(
    "--exclude",
    "reasons",
    multiple=True,
    metavar="FINDING",
    type=click.Choice(FINDINGS),
    default=REASONS,
    show_default=True,
    help="For which findings images come into exclude.csv; give it once for each.",
)
@json_option
@verb_options
def audit(
    output: Output,
    folder: Path,
    out: Path,
    probabilities: tuple[Path, ...],
    faces: str,
    reasons: tuple[str, ...],
    as_json: bool,
) -> None:
    """Look for what is wrong in the prepared data set DIR, and list what to leave out.

    \b
      blank           one value throughout
      conflict        two of a split that show the same and have different labels
      leak            for training, and equal to one of another split
      seen            the other side of a leak: of another split, and occurs in training
      overlap         equal to one of another split, neither for training
      duplicate       equal to an earlier one of its split
      near-leak, near-seen, near-overlap, near-duplicate
                      the same brighter, mirrored, cut or encoded otherwise
      no-face         YuNet finds no face: signs, text, hands, much turned heads
      drawn           plain areas with hard edges: drawings, signs, text
      border          a plain stripe along a side (or a plain ground)
      label-error     confident learning (Northcutt et al. 2021) takes the label to be wrong

    OUT/audit.csv has a row for each finding, OUT/<finding>.png shows up to 60. OUT/exclude.csv
    names images to leave out, with the columns split, name and reason: look at it and edit it.
    Images for training are excluded for any finding that --exclude names, those of other splits
    only as blank, as seen, as overlap and as the near forms of these. mien data prepare and mien
    evaluate take the list with --exclude, training with
    --set 'training.exclude=["OUT/exclude.csv"]'. OUT/seen.csv names what else than training occurs
    in it: mien evaluate RUN --data DIR --exclude OUT/seen.csv.

    \b
    Examples:
      mien data audit data/fer2013 --out audit
      mien data audit data/fer2013 --out audit --exclude blank --exclude leak --exclude duplicate
      mien data audit data/fer2013 --out audit --probabilities runs/oof/predictions/train.parquet
    """
    if probabilities:
        needs("finding label errors", "train")
    from mien.data.audit import audit as run
    from mien.data.audit_files import write_audit
    from mien.data.cache import load
    from mien.files import atomic_directory

    dataset = load(folder)
    given = dict(_probabilities(output, file, dataset) for file in probabilities)
    finder = _face_scores(output, faces)
    with atomic_directory(out) as temporary:
        with output.progress("auditing") as progress:
            found = run(dataset, probabilities=given, faces=finder, progress=progress)
        exclusions = write_audit(found, dataset, temporary, reasons)
    _present(output, out, found, exclusions, as_json)


def _probabilities(output: Output, file: Path, dataset: Dataset) -> tuple[str, NDArray[np.float32]]:
    """Read predictions, and return their split and them in its order, NaN where there are none."""
    import numpy as np

    from mien.evaluation.predictions import Predictions

    predictions = Predictions.load(file)
    split = predictions.info.get("split")
    if split is None:
        raise MienError(
            f"{file} does not say what split it was made of",
            hint="take predictions that mien wrote: mien folds, or mien evaluate",
        )
    names = dataset.names[dataset.indices(split)].tolist()
    place = {name: row for row, name in enumerate(names)}
    unknown = next((name for name in predictions.names.tolist() if name not in place), None)
    if unknown is not None:
        raise MienError(
            f"{file} has predictions for {unknown}, which is not in the split {split!r}",
            hint="give predictions for this data set",
        )
    if split == "train" and "folds" not in predictions.info:
        output.warn(
            f"{file} was not made by mien folds; a model takes the labels that it was trained on "
            "to be right"
        )
    result = np.full((len(names), predictions.probabilities.shape[1]), np.nan, np.float32)
    result[[place[name] for name in predictions.names.tolist()]] = predictions.probabilities
    return split, result


def _face_scores(output: Output, faces: str) -> FaceScores | None:
    from mien.recognition.presence import FacePresence
    from mien.weights.catalog import find

    if faces == "none":
        return None
    file = find("yunet").path if faces == "auto" else Path(faces)
    if faces == "auto" and not file.is_file():
        output.note("faces are not looked for, because that needs: mien weights fetch yunet")
        return None
    return FacePresence(file)


def _present(
    output: Output, out: Path, found: Audit, exclusions: Sequence[Exclusion], as_json: bool
) -> None:
    counts = found.counts()
    if as_json:
        output.json(
            {
                "out": str(out),
                "findings": counts,
                "label_errors": {
                    split: {
                        "rate": errors.rate,
                        # NaN, of a class without images, is no JSON.
                        "thresholds": [
                            None if math.isnan(each) else each
                            for each in errors.thresholds.tolist()
                        ],
                        "joint": errors.joint.tolist(),
                    }
                    for split, errors in found.label_errors.items()
                },
                "excluded": len(exclusions),
            }
        )
        return
    splits = list(dict.fromkeys(split for each in counts.values() for split in each))
    output.table(
        ("finding", *splits),
        [(name, *(f"{each.get(split, 0):,}" for split in splits)) for name, each in counts.items()],
    )
    for split, errors in found.label_errors.items():
        output.result(f"labels of {split} that are wrong, as far as estimated: {errors.rate:.1%}")
    output.result(f"excluded: {len(exclusions):,} images, in {out / 'exclude.csv'}")
    output.note(f"findings and contact sheets are in {out}")
