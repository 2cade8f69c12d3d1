"""`mien report`: a page and a Markdown file with the paper's figures and those of our runs."""

from __future__ import annotations

from pathlib import Path

import click

from mien.cli.common import Output, needs, verb_options


@click.command(
    short_help="Compare a folder of runs with the paper.",
    epilog="""\b
Examples:
  mien reproduce --data data/fer2013 --out runs
  mien report runs
  mien report results/runs --out docs/results --split validation""",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where report.html and report.md go.  [default: DIR]",
)
@click.option(
    "--split",
    default="validation",
    show_default=True,
    help="The split that runs are measured on; their predictions for it need labels.",
)
@verb_options
def report(output: Output, folder: Path, out: Path | None, split: str) -> None:
    """Write a report on the runs in DIR: the paper's tables with ours beside, claim by claim.

    DIR is what mien reproduce was given as --out, or any folder of run folders that are named
    RECIPE-seedNUMBER. Of a run only recipe.toml, run.json, history.csv and predictions/ are read;
    weights are not needed. What is not run, not finished or damaged is listed as such.

    Writes report.html (one file, without scripts, that needs no network) and report.md (the same
    tables as text): images of each emotion, the paper's accuracies and ours with intervals,
    learning curves, confusion matrices, what each emotion gains or loses against the baseline,
    the filters compared, ways to train compared (the ablations), ensembles of all subsets, what
    the runs cost, and what the runs say to each claim of the paper. The same runs always give the
    same files.

    Prints the files and the verdicts.
    """
    needs("writing a report", "train")
    from mien.experiments.report import gather, write

    with output.progress("reading runs") as progress:
        made = gather(folder, split=split, progress=progress)
    for run, why in made.broken:
        output.warn(f"{run.name} does not count: {why}")
    page, text = write(made, out or folder)
    for claim in made.claims if made.about_the_paper else ():
        output.result(f"{claim.verdict:16}  {claim.title}")
    for row in made.ablations.rows if made.ablations else ():
        if row.decisive:
            output.result(f"{row.decisive.decision:16}  {row.experiment.title}")
    output.note(f"wrote {page} and {text}")
