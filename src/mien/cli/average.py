"""`mien average`: the weights of runs as one network, with statistics measured anew."""

from __future__ import annotations

from pathlib import Path

import click

from mien.cli.common import Output, json_option, needs, verb_options


@click.command(
    short_help="Average the weights of runs, and measure their statistics anew.",
    epilog="""\b
Examples:
  mien average runs/first --data data/fer2013 --out runs/measured
  mien average runs/first runs/second --data data/fer2013 --out runs/soup
  mien average runs/first=0.7 runs/second=0.3 --data data/fer2013 --out runs/soup
  mien evaluate runs/soup --data data/fer2013""",
)
@click.argument("runs", metavar="RUN[=SHARE]...", nargs=-1, required=True)
@click.option(
    "--data", metavar="DIR", required=True, type=click.Path(path_type=Path), help="The data set."
)
@click.option(
    "--out",
    "folder",
    metavar="RUN",
    required=True,
    type=click.Path(path_type=Path),
    help="The new run's folder.",
)
@json_option
@verb_options
def average(output: Output, runs: tuple[str, ...], data: Path, folder: Path, as_json: bool) -> None:
    """Make one network of the weights of one or several runs, as fast as each of them.

    Weights are averaged one by one (model soups, Wortsman et al. 2022). That helps where the runs
    lie near each other: where one began with the other's weights (model.weights = RUN) and went on
    in another way. Runs that began apart give nonsense; see mien ensemble for those.

    Then the statistics of all batch normalizations are measured on 4,096 training images as they
    are when the network is used, not augmented (Wu & Johnson 2021). With a single RUN that is all
    that happens. Whether it pays, mien evaluate says.

    The new run has a recipe, a record of what it is made of, and weights: it is evaluated,
    exported and combined like any other.
    """
    needs("averaging runs", "train")
    from mien.data.cache import load
    from mien.training.run import Run
    from mien.training.soup import average as make

    named = [_share(text) for text in runs]
    with output.progress("measuring") as progress:
        run = make(
            [Run(path) for path, _ in named],
            [share for _, share in named],
            load(data),
            folder,
            data_folder=data,
            progress=progress,
        )
    if as_json:
        output.json({"run": str(run.folder), "averaged": run.info()["averaged"]})
        return
    output.result(f"run: {run.folder}")


def _share(text: str) -> tuple[str, float]:
    """Return the folder and the share that one argument names."""
    path, sign, number = text.rpartition("=")
    if not sign or Path(text).is_dir():
        return text, 1.0
    try:
        share = float(number)
    except ValueError:
        return text, 1.0
    if not 0 < share < float("inf"):
        raise click.BadParameter(f"{text}: a share is a number above 0")
    return path, share
