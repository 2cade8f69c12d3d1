"""`mien ensemble`: several models' predictions combined, and what that gains over the best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, json_option, verb_options
from mien.cli.evaluate import TTA_NAMES
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.evaluation.predictions import Predictions

# As in mien.evaluation.ensemble, which would load NumPy for `--help`.
METHOD_NAMES = ("mean", "logits", "vote", "weights", "greedy", "stacking")
_SPLIT = "{split}"


@click.command(
    short_help="Combine the predictions of several models.",
    epilog="""\b
Examples:
  mien ensemble runs/cnn5 runs/foldnet runs/resnet50
  mien ensemble runs/* --method logits --report test
  mien ensemble runs/* --method greedy --select validation --report test
  mien ensemble 'results/a-{split}.parquet' 'results/b-{split}.parquet' --method weights""",
)
@click.argument("members", metavar="RUN|PREDICTIONS...", nargs=-1, required=True)
@click.option(
    "--method",
    type=click.Choice(METHOD_NAMES),
    default="mean",
    show_default=True,
    help="How to combine; see above.",
)
@click.option(
    "--select",
    metavar="SPLIT",
    default="validation",
    show_default=True,
    help="The split that weights, greedy and stacking are fitted to; it needs labels.",
)
@click.option(
    "--report",
    metavar="SPLIT",
    default="validation",
    show_default=True,
    help="The split to combine and, where it has labels, to measure.",
)
@click.option(
    "--tta",
    type=click.Choice(TTA_NAMES),
    default="none",
    show_default=True,
    help="Take the runs' predictions that were made with this test-time augmentation.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default="predictions",
    show_default=True,
    help="Where the combined predictions go.",
)
@json_option
@verb_options
def ensemble(
    output: Output,
    members: tuple[str, ...],
    method: str,
    select: str,
    report: str,
    tta: str,
    out: Path,
    as_json: bool,
) -> None:
    """Combine the predictions of several models into those of one.

    RUN is the folder of a training, of which the predictions that mien evaluate wrote are taken;
    PREDICTIONS a predictions file. Where two splits are needed, write {split} in the file's name
    in place of the split.

    \b
    Methods that fit nothing:
      mean      mean of the probabilities
      logits    mean of the logits (log-probabilities)
      vote      hard vote; the mean probability decides ties
    Methods fitted to --select:
      weights   weighted mean of least log loss
      greedy    greedy selection of members with replacement (Caruana et al. 2004)
      stacking  logistic regression on log-probabilities, penalty cross-validated

    Prints every member alone, the share of images on which each two disagree, the ensemble, and
    its gain over the best member with the paired bootstrap's 95 % interval and the p value of
    McNemar's exact test. Where a method is fitted to the split that is reported, the figures on
    images that it was not fitted to (5-fold cross-validation) stand beside. A split without labels
    gets its predictions only.
    """
    from mien.cli.ensemble_result import Result, present, to_json
    from mien.evaluation import ensemble as ensembles
    from mien.evaluation.align import align

    fitted = ensembles.METHODS[method].fit is not None
    same = select == report
    _check_members(members, (select, report) if fitted and not same else (report,))
    titles = _titles(members)
    reported = align(_load(members, report, tta), titles)
    selected = reported
    if fitted and not same:
        selected = align(_load(members, select, tta), titles)
    combiner = ensembles.fit(method, selected)
    cross_validated = None
    if fitted and same:
        output.warn(
            f"{method} is fitted to {report}, the split that is reported: its own figures flatter; "
            "those to believe are cross-validated"
        )
        with output.progress("cross-validating") as progress:
            cross_validated = ensembles.out_of_fold(method, reported, progress=progress)
    if fitted and select == "train":
        output.warn("members are overconfident on the images they were trained on: fit to others")
    combined = combiner(reported)
    state = {**combined.info["ensemble"], "titles": titles, "select": select if fitted else None}
    combined = replace(combined, info={**combined.info, "split": report, "ensemble": state})
    file = out / f"ensemble-{method}-{_file_stem(report, tta)}.parquet"
    combined.save(file)
    result = Result(titles, reported, combiner, combined, cross_validated, file)
    if as_json:
        output.json(to_json(result))
    else:
        present(output, result)


def _check_members(members: Sequence[str], splits: Sequence[str]) -> None:
    """Refuse a member that is given twice, or a file that cannot stand for all of the splits."""
    seen: set[Path] = set()
    for member in members:
        path = Path(member).resolve()
        if path in seen:
            raise click.UsageError(f"{member} is given twice")
        seen.add(path)
        if len(splits) > 1 and _SPLIT not in member and not path.is_dir():
            raise MienError(
                f"{member} is of one split, and the predictions for {' and '.join(splits)} "
                "are needed",
                hint="write {split} where the names of the files have the split, "
                "as in 'results/cnn5-{split}.parquet'",
            )


def _titles(members: Sequence[str]) -> list[str]:
    """Return short names of the members, or the members as given where these are not unique."""
    paths = [Path(member) for member in members]
    short = [path.resolve().name if path.is_dir() else path.stem for path in paths]
    return short if len(set(short)) == len(short) else list(members)


def _load(members: Sequence[str], split: str, tta: str) -> list[Predictions]:
    """Read each member's predictions for a split."""
    from mien.evaluation.predictions import Predictions

    loaded = []
    for member in members:
        file = Path(member.replace(_SPLIT, split))
        if file.is_dir():
            file = _of_run(file, split, tta)
        elif file.suffix.lower() == ".onnx":
            raise MienError(
                f"{member} is a model, not its predictions",
                hint=f"make them with: mien evaluate {member} --data DIR --split {split}",
            )
        predictions = Predictions.load(file)
        made_of = predictions.info.get("split", split)
        if made_of != split:
            raise MienError(
                f"{file} has predictions for the split {made_of!r}, not {split!r}",
                hint="choose the splits with --select and --report",
            )
        loaded.append(predictions)
    return loaded


def _of_run(run: Path, split: str, tta: str) -> Path:
    file = run / "predictions" / f"{_file_stem(split, tta)}.parquet"
    if not file.is_file():
        option = "" if tta == "none" else f" --tta {tta}"
        raise MienError(
            f"the run {run} has no {file.relative_to(run)}",
            hint=f"make it with: mien evaluate {run} --data DIR --split {split}{option}",
        )
    return file


def _file_stem(split: str, tta: str) -> str:
    """Return how `mien evaluate` names the predictions of a split."""
    return split if tta == "none" else f"{split}-{tta}"
