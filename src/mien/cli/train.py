"""`mien train`: train a recipe, or go on with a run that was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, json_option, needs, verb_options

if TYPE_CHECKING:
    from mien.data.cache import Dataset
    from mien.training.device import Precision
    from mien.training.recipe import Recipe
    from mien.training.run import Row, Run
    from mien.training.stages import ResolvedStage


accelerator_option = click.option(
    "--accelerator", default="auto", show_default=True, help="auto, cpu, cuda or mps."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["auto", "32-true", "bf16-mixed", "16-mixed"]),
    default="auto",
    show_default=True,
    help="auto: bf16 mixed precision on a GPU, float32 elsewhere.",
)


@click.command(
    short_help="Train a recipe, or go on with a run.",
    epilog="""\b
Examples:
  mien train cnn5 --data data/fer2013 --out runs/cnn5
  mien train cnn5 --data data/fer2013 --out runs/short --set training.epochs=3
  mien train --resume runs/cnn5""",
)
@click.argument("recipe", required=False)
@click.option("--data", metavar="DIR", help="The prepared data set; --resume finds its own.")
@click.option("--out", "folder", metavar="RUN", help="The new run folder.")
@click.option("--resume", metavar="RUN", help="Go on with a run from its last checkpoint.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the recipe, such as training.seed=1; without a value, take it out.",
)
@accelerator_option
@click.option("--devices", default=1, show_default=True, help="How many devices train together.")
@precision_option
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="Compile the steps (torch.compile) before the first: for GPUs; takes minutes.",
)
@json_option
@verb_options
def train(
    out: Output,
    recipe: str | None,
    data: str | None,
    folder: str | None,
    resume: str | None,
    overrides: tuple[str, ...],
    accelerator: str,
    devices: int,
    precision: Precision,
    compiled: bool,
    as_json: bool,
) -> None:
    """Train RECIPE and keep everything in a run folder.

    RECIPE is a name from `mien recipes` or the path of a TOML file. The folder holds the resolved
    recipe, the weights of the best epoch, a checkpoint, the history as CSV and as curves, and what
    it ran on. A run that was stopped, even killed, goes on with --resume.
    """
    if resume is None and (recipe is None or data is None or folder is None):
        raise click.UsageError(
            "give RECIPE, --data DIR and --out RUN for a new run, or --resume RUN"
        )
    if resume is not None and (recipe is not None or folder is not None or overrides):
        raise click.UsageError(
            "--resume takes the run's own recipe: leave out RECIPE, --out and --set"
        )
    needs("training", "train")
    from mien.classical.options import is_classical
    from mien.data.cache import load as load_dataset
    from mien.training.device import Device, is_first_process
    from mien.training.recipe import load as load_recipe
    from mien.training.run import Run
    from mien.training.stages import stages_of

    device = Device(accelerator, devices, precision, compiled)
    device.fabric()  # Devices that do not exist are told before a folder is made.
    if resume is not None:
        run = Run(resume)
        settings = run.recipe()
        dataset = load_dataset(data or run.data_folder(), verify=True)
    else:
        assert recipe is not None
        assert data is not None
        assert folder is not None
        settings = load_recipe(recipe, overrides)
        dataset = load_dataset(data, verify=True)
        run = _start(settings, dataset, folder, data)
    if is_classical(settings):
        settings = run.recipe()  # Its epochs are the values that are tried.
    stages = stages_of(settings)
    rows: list[Row] = []

    def on_epoch(row: Row) -> None:
        rows.append(row)
        out.note(epoch_line(row, stages))

    with out.progress("Training") as progress:
        if is_classical(settings):
            from mien.classical.run import train as fit

            fit(run, dataset, progress=progress, on_epoch=on_epoch)
        else:
            from mien.training.loop import train as run_training

            run_training(run, dataset, device, progress=progress, on_epoch=on_epoch)
    if is_first_process():
        if as_json:
            out.json({"run": str(run.folder), "epochs": rows})
        else:
            out.result(str(run.folder))


def epoch_line(row: Row, stages: Sequence[ResolvedStage]) -> str:
    """Return an epoch's row of the history as text for people."""
    epochs = sum(stage.epochs for stage in stages)
    stage = f"  {stages[int(row['stage']) - 1].name}" if len(stages) > 1 else ""
    return (
        f"epoch {row['epoch']:.0f}/{epochs}{stage}  loss {row['train_loss']:.4f}  "
        f"accuracy {row['train_accuracy']:.2%}  validation loss {row['validation_loss']:.4f}  "
        f"accuracy {row['validation_accuracy']:.2%}  {row['seconds']:.0f} s"
    )


def _start(settings: Recipe, dataset: Dataset, folder: str, data: str) -> Run:
    from mien.classical.options import is_classical

    if is_classical(settings):
        from mien.classical.run import start as start_features

        return start_features(settings, dataset, folder, data)
    from mien.training.loop import start

    return start(settings, dataset, folder, data)
