"""`mien folds`: train without a part of the training split, part by part, and predict each part."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.cli.train import accelerator_option, epoch_line, precision_option

if TYPE_CHECKING:
    from mien.evaluation.predictions import Predictions
    from mien.progress import Progress
    from mien.training.device import Precision
    from mien.training.folds import Folds
    from mien.training.run import Row


@click.command(
    short_help="Predict the training split by runs that did not see it.",
    epilog="""\b
Examples:
  mien folds foldnet-mini --data data/fer2013 --out runs/oof
  mien folds cnn5 --data data/fer2013 --out runs/oof5 --folds 5 --set training.epochs=20
  mien data audit data/fer2013 --out audit --probabilities runs/oof/predictions/train.parquet
  mien evaluate runs/oof/predictions/train.parquet""",
)
@click.argument("recipe")
@click.option(
    "--data", metavar="DIR", required=True, type=click.Path(path_type=Path), help="The data set."
)
@click.option(
    "--out",
    "folder",
    metavar="FOLDER",
    required=True,
    type=click.Path(path_type=Path),
    help="A new folder; or the one of a stopped command, which goes on.",
)
@click.option(
    "--folds",
    "count",
    type=click.IntRange(2, 50),
    default=4,
    show_default=True,
    help="In how many parts the training split is dealt.",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe."
)
@accelerator_option
@precision_option
@json_option
@verb_options
def folds(
    output: Output,
    recipe: str,
    data: Path,
    folder: Path,
    count: int,
    overrides: tuple[str, ...],
    accelerator: str,
    precision: Precision,
    as_json: bool,
) -> None:
    """Train RECIPE once for each fold, and predict every training image by the run without it.

    The labeled images of the training split are dealt to folds: each has its share of every class,
    and images that show the same stay together. For each fold a run is trained without it
    (FOLDER/fold-1 and so on, ordinary runs whose best epoch the validation split chooses), which
    then predicts it. FOLDER/predictions/train.parquet holds the predictions of all: what
    mien data audit looks for wrong labels with, and what training.distill learns from best.

    Stopped, even killed, the same command goes on where it was.
    """
    needs("cross-validation", "train")
    from mien.data.cache import load
    from mien.training.device import Device
    from mien.training.folds import begin, train_folds
    from mien.training.recipe import load as load_recipe
    from mien.training.stages import stages_of

    device = Device(accelerator, 1, precision)
    device.fabric()  # A device that does not exist is told before a folder is made.
    settings = load_recipe(recipe, overrides)
    stages = stages_of(settings)
    if settings.training.distill or Path(settings.model.weights).is_dir():
        output.warn(
            "the recipe begins with the weights of a run, or learns from predictions; where the "
            "models behind them saw the labels of the training split, so did the folds' runs"
        )
    dataset = load(data, verify=True)
    with output.progress("comparing images") as comparing:
        begun = begin(settings, dataset, folder, count, progress=comparing)

    def on_epoch(number: int, row: Row) -> None:
        output.note(f"fold {number}/{count}  {epoch_line(row, stages)}")

    with ExitStack() as bars:

        def progress(number: int) -> Progress:
            bars.pop_all().close()
            return bars.enter_context(output.progress(f"fold {number}/{count}"))

        predictions = train_folds(
            begun, dataset, device, data_folder=data, progress=progress, on_epoch=on_epoch
        )
    _present(output, begun, predictions, as_json)


def _present(output: Output, folds: Folds, predictions: Predictions, as_json: bool) -> None:
    from mien.evaluation.metrics import evaluate

    metrics = evaluate(predictions)
    runs = [folds.run(number) for number in range(1, folds.count + 1)]
    if as_json:
        output.json(
            {
                "out": str(folds.folder),
                "runs": [str(run.folder) for run in runs],
                "predictions": str(folds.predictions_file),
                "metrics": metrics.to_dict(),
            }
        )
        return
    low, high = metrics.accuracy_interval
    output.result(
        f"out-of-fold accuracy {metrics.accuracy:.2%} ({low:.2%} to {high:.2%}), balanced "
        f"{metrics.balanced_accuracy:.2%}, macro F1 {metrics.macro_f1:.4f}, "
        f"{metrics.count:,} images"
    )
    output.result(f"predictions: {folds.predictions_file}")
