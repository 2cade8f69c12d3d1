"""`mien ensemble`: several models combined into one, and what that gains over the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli.common import Output, json_option, verb_options
from mien.cli.ensemble_members import Sources, file_stem
from mien.cli.evaluate import TTA_NAMES
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.evaluation.ensemble import Combiner
    from mien.evaluation.predictions import Predictions

# As in mien.evaluation.ensemble, which would load NumPy for `--help`.
METHOD_NAMES = ("mean", "logits", "vote", "weights", "greedy", "stacking")


@click.command(
    short_help="Combine several models into one.",
    epilog="""\b
Examples:
  mien ensemble runs/cnn5 runs/foldnet runs/resnet50
  mien ensemble runs/* --method logits --report test --out ensembles/logits
  mien ensemble runs/* --method greedy --select validation --report test
  mien ensemble runs/cnn5 model.onnx --data data/fer2013 --out ensembles/two
  mien ensemble 'results/a-{split}.parquet' 'results/b-{split}.parquet' --method weights
  mien evaluate ensembles/two --data data/fer2013 --split test
  mien export ensembles/two --to two.onnx""",
)
@click.argument("members", metavar="RUN|MODEL|PREDICTIONS...", nargs=-1, required=True)
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
    help="Take the models' predictions that were made with this test-time augmentation.",
)
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The prepared data set (see mien data prepare): models that have no predictions for a "
    "split are run on it.",
)
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The ensemble's folder.  [default: ensemble-METHOD]",
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
    data: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Combine several models into one, which can be used like one.

    RUN is the folder of a training or of another ensemble, of which the predictions that mien
    evaluate wrote are taken; MODEL an exported .onnx file, which needs --data; PREDICTIONS a
    predictions file. Where two splits are needed, write {split} in the file's name in place of the
    split.

    \b
    Methods that fit nothing:
      mean      mean of the probabilities
      logits    mean of the logits (log-probabilities)
      vote      hard vote; the mean probability decides ties
    Methods fitted to --select:
      weights   weighted mean of least log loss
      greedy    greedy selection of members with replacement (Caruana et al. 2004)
      stacking  logistic regression on log-probabilities, penalty cross-validated

    Writes FOLDER/predictions/SPLIT.parquet and, where all members are models, FOLDER/ensemble.json
    with how they are combined and where they lie: mien evaluate and mien export take such a FOLDER
    like a run. Members of weight 0 are left out of it.

    Prints every member alone, the share of images on which each two disagree, the ensemble, and
    its gain over the best member with the paired bootstrap's 95 % interval and the p value of
    McNemar's exact test. Where a method is fitted to the split that is reported, the figures on
    images that it was not fitted to (5-fold cross-validation) stand beside. A split without labels
    gets its predictions only.
    """
    from mien.cli.ensemble_result import Result, present, to_json
    from mien.data.cache import load
    from mien.evaluation.align import align
    from mien.evaluation.ensemble import METHODS

    folder = out or Path(f"ensemble-{method}")
    _check_folder(folder, members)
    fitted = METHODS[method].fit is not None
    splits = (select, report) if fitted and select != report else (report,)
    sources = Sources(members, tta, load(data) if data else None)
    sources.check(splits)
    titles = sources.titles
    loaded = {split: align(sources.load(split, output), titles) for split in splits}
    reported, selected = loaded[report], loaded[splits[0]]
    combiner, cross_validated = _fit(output, method, selected, select, same=select == report)
    combined = combiner(reported)
    state = {**combined.info["ensemble"], "titles": titles, "select": select if fitted else None}
    info = {**combined.info, "split": report, "ensemble": state}
    made_of = {"split": select, "tta": tta, "data": selected[0].info.get("data")}
    model = _save_models(output, folder, sources, combiner, made_of if fitted else None)
    combined = replace(combined, info=info | model)
    file = folder / "predictions" / f"{file_stem(report, tta)}.parquet"
    combined.save(file)
    model_folder = folder if model else None
    result = Result(titles, reported, combiner, combined, cross_validated, file, model_folder)
    if as_json:
        output.json(to_json(result))
    else:
        present(output, result)


def _check_folder(folder: Path, members: Sequence[str]) -> None:
    """Refuse a folder in which an ensemble would overwrite something else."""
    if folder.resolve() in [Path(member).resolve() for member in members]:
        raise click.UsageError(f"{folder} cannot be the ensemble's folder and a member of it")
    if (folder / "recipe.toml").is_file():
        raise MienError(f"{folder} is the folder of a run", hint="choose another one with --out")


def _fit(
    output: Output, method: str, selected: list[Predictions], select: str, *, same: bool
) -> tuple[Combiner, Predictions | None]:
    """Return the combiner and, where it is fitted to the split reported, figures to believe."""
    from mien.evaluation import ensemble as ensembles

    combiner = ensembles.fit(method, selected)
    if ensembles.METHODS[method].fit is None:
        return combiner, None
    if select == "train":
        output.warn("members are overconfident on the images they were trained on: fit to others")
    if not same:
        return combiner, None
    output.warn(
        f"{method} is fitted to {select}, the split that is reported: its own figures flatter; "
        "those to believe are cross-validated"
    )
    with output.progress("cross-validating") as progress:
        return combiner, ensembles.out_of_fold(method, selected, progress=progress)


def _save_models(
    output: Output,
    folder: Path,
    sources: Sources,
    combiner: Combiner,
    fitted: dict[str, Any] | None,
) -> dict[str, Any]:
    """Write `ensemble.json`, and return what predictions say of the model that made them."""
    from mien.evaluation.ensemble_folder import EnsembleFolder, is_ensemble
    from mien.files import sha256

    models = sources.models()
    if models is None:
        if is_ensemble(folder):
            raise MienError(
                f"{folder} holds another ensemble", hint="choose another one with --out"
            )
        output.note(
            "some members are predictions only, without a model's weights: the ensemble is "
            "predictions only, too"
        )
        return {}
    trimmed, left = combiner.trimmed()
    file = EnsembleFolder(trimmed, tuple(models[index] for index in left), fitted).save(folder)
    return {"model": folder.resolve().name, "model_sha256": sha256(file)}
