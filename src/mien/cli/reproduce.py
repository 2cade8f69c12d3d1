"""`mien reproduce`: train all experiments of the paper, resumably, and combine them."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.errors import ExitStatus

if TYPE_CHECKING:
    from mien.experiments.estimate import Estimates
    from mien.experiments.pool import Slot
    from mien.experiments.reproduce import View
    from mien.experiments.tasks import Task


@click.command(
    short_help="Train all experiments of the paper and combine them.",
    epilog="""\b
Examples:
  mien reproduce --data data/fer2013 --out results --dry-run
  mien reproduce --data data/fer2013 --out results --only stand-in --seeds 3
  mien reproduce --data data/fer2013 --out results --only scratch --only cnn5 --devices 0,1
  mien reproduce --data data/fer2013 --out try --only filters --set training.epochs=5""",
)
@click.option(
    "--data",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="The prepared data set (see mien data prepare).",
)
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of all runs, new or one to go on with.",
)
@click.option(
    "--only",
    metavar="NAME",
    multiple=True,
    help="A recipe, or a group: paper, scratch, filters, stand-in, ablations. May be given several "
    "times.  [default: all]",
)
@click.option(
    "--seeds",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train each recipe with the seeds 0 to N-1.",
)
@click.option(
    "--devices",
    default="auto",
    show_default=True,
    help="auto (every GPU there is, else the CPU), cpu, or GPUs by number such as 0,1; each trains "
    "one run at a time.",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many runs share a device at the same time.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of every recipe, such as training.epochs=3; the report will say so.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be done; write nothing.")
@json_option
@verb_options
def reproduce(
    output: Output,
    data: Path,
    out: Path,
    only: tuple[str, ...],
    seeds: int,
    devices: str,
    jobs: int,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Train every experiment of the plan and write its predictions for all splits.

    Each run is a process of its own with a folder DIR/<recipe>-seed<k> and a log in DIR/logs; one
    that fails does not end the others. Seeds are the outer loop, a baseline comes before what is
    compared with it, and rows with published weights come last. At the end the members of the
    paper's ensemble are combined, as far as they are there, by the mean of their probabilities and
    by hard vote, in DIR/ensemble-<group>.

    Stopped, even killed, the same command goes on where it was. What is done is skipped. A run
    that was made with other data or a recipe with other values is never overwritten but reported.
    Rows whose published weights are not on this machine are skipped (see mien weights). Prints
    validation figures only. Exits with 1 where a run failed or differs.
    """
    if any(override.partition("=")[0].strip() == "training.seed" for override in overrides):
        raise click.UsageError("the seeds are chosen with --seeds, not with --set")
    needs("reproducing", "train")
    import torch

    from mien.cli.reproduce_result import present, present_plan, say_what_fits
    from mien.data.cache import load
    from mien.experiments.estimate import estimates_of
    from mien.experiments.plan import select
    from mien.experiments.pool import slots_of
    from mien.experiments.reproduce import Request, alone, ensembles, run, survey

    experiments = select(only)
    slots = slots_of(devices, jobs, torch.cuda.device_count())
    on_cpu = slots[0].gpu is None
    dataset = load(data, verify=True)
    request = Request(data, out, only, seeds, overrides)
    with contextlib.nullcontext() if dry_run else alone(out):
        tasks = survey(request, dataset, experiments)
        estimates = estimates_of(tasks, dataset, on_cpu=on_cpu)
        if on_cpu and not only:
            say_what_fits(output, tasks, estimates)
        if dry_run:
            present_plan(output, tasks, estimates, len(slots), as_json)
            return ExitStatus.OK
        with _stoppable(output), _view(output, tasks, slots, estimates) as view:
            run(request, dataset, tasks, slots, view)
        combined = ensembles(request, dataset, tasks)
    return present(output, tasks, combined, as_json)


@contextlib.contextmanager
def _stoppable(output: Output) -> Iterator[None]:
    """Let SIGTERM stop the work as Ctrl-C does, and say how to go on."""

    def stop(signal_number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        output.note("stopped; every run is kept up to its last epoch; the same command goes on")
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _view(
    output: Output, tasks: Sequence[Task], slots: Sequence[Slot], estimates: Estimates
) -> Iterator[View]:
    """Give the view that fits where standard error goes."""
    from rich.console import Console

    from mien.experiments.view import Lines, Picture, Silent, Watch

    watch = Watch(tasks, slots, estimates)
    if output.verbosity < 0:
        yield Silent()
    elif sys.stderr.isatty():
        with Picture(watch, Console(stderr=True, highlight=False)) as picture:
            yield picture
    else:
        yield Lines(watch, output.note)
