"""One run in a process of its own: trains it, or goes on with it, and writes its predictions.

`python -m mien.experiments.child JOB` takes a job as JSON. It tells how far it is as JSON lines on
standard output; standard error is for people. It ends when its standard input does, so that it
never outlives the one who started it, and SIGTERM stops it as Ctrl-C does.
"""

from __future__ import annotations

import _thread
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from types import FrameType
from typing import Any

import torch

from mien.data.cache import Dataset
from mien.data.cache import load as load_dataset
from mien.errors import ExitStatus, MienError, of_the_system
from mien.evaluation.predict import predict
from mien.experiments.folders import (
    clear_begun,
    missing_predictions,
    predictions_file,
)
from mien.files import sha256
from mien.progress import Progress
from mien.training.device import Device
from mien.training.loop import start, train
from mien.training.recipe import load as load_recipe
from mien.training.run import Row, Run, TorchClassifier

Event = dict[str, Any]
"""What a child tells: `steps` and `of`; `epoch` (a row of the history); or `predicting` (a split),
`images` and `of`."""
Tell = Callable[[Event], None]
_SECONDS_BETWEEN_EVENTS = 0.5


@dataclass(frozen=True)
class Job:
    """What a child does.

    Attributes:
        recipe: its name, or the path of a TOML file.
        overrides: of the recipe.
        data: the prepared data set's folder.
        folder: the run's.
        accelerator: as in `mien.training.loop.Device`.
    """

    recipe: str
    overrides: tuple[str, ...]
    data: str
    folder: str
    accelerator: str

    def to_json(self) -> str:
        """Return it as one argument of a command."""
        return json.dumps(asdict(self))


def work(job: Job, tell: Tell) -> None:
    """Do a job from where it was left.

    Raises:
        MienError: what `mien.training.loop` and `mien.evaluation.predict` raise.
    """
    dataset = load_dataset(job.data)
    run = Run(job.folder)
    clear_begun(run.folder)
    if not run.recipe_file.is_file():
        run = start(load_recipe(job.recipe, job.overrides), dataset, run.folder, job.data)

    def on_epoch(row: Row) -> None:
        print(
            f"epoch {row['epoch']:.0f}  loss {row['train_loss']:.4f}  validation accuracy "
            f"{row['validation_accuracy']:.2%}  {row['seconds']:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        tell({"epoch": row})

    if not run.is_finished():
        steps = _now_and_then(lambda done, total: tell({"steps": done, "of": total}))
        train(run, dataset, Device(job.accelerator), progress=steps, on_epoch=on_epoch)
    _predict(run, dataset, job.accelerator, tell)


def _predict(run: Run, dataset: Dataset, accelerator: str, tell: Tell) -> None:
    splits = missing_predictions(run, dataset)
    if not splits:
        return
    device = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
    classifier = TorchClassifier(run.network(), run.recipe().input.preprocessing(), device)
    model = {"model": run.folder.resolve().name, "model_sha256": sha256(run.weights_file)}
    for split in splits:
        images = _now_and_then(
            lambda done, total, split=split: tell(
                {"predicting": split, "images": done, "of": total}
            )
        )
        predictions = predict(classifier, dataset, split, progress=images)
        predictions = replace(predictions, info=model | dict(predictions.info))
        predictions.save(predictions_file(run.folder, split), half=True)


def _now_and_then(report: Callable[..., None]) -> Progress:
    """Return a progress that reports at most so often, and always the end."""
    last = 0.0

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_EVENTS or done == total:
            last = now
            report(done, total)

    return progress


def _stop(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_with_the_starter() -> None:
    """Stop this process when nobody holds the other end of its standard input any more."""
    # Not through sys.stdin, whose lock would be held when the interpreter ends.
    while os.read(0, 1024):
        pass
    _thread.interrupt_main(signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """Do the job and return the exit status; the last line of standard error says why it failed."""
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    # What a library prints shall not come between the events.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(event: Event) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    try:
        values = json.loads(arguments[0])
        work(Job(**values | {"overrides": tuple(values["overrides"])}), tell)
    except (KeyboardInterrupt, BrokenPipeError):
        print("stopped from outside", file=sys.stderr)
        return ExitStatus.INTERRUPTED
    except (MienError, OSError) as problem:
        error = of_the_system(problem) if isinstance(problem, OSError) else problem
        reason = " ".join(error.message.split())
        print(f"{reason} ({error.hint})" if error.hint else reason, file=sys.stderr)
        return ExitStatus.FAILURE
    finally:
        # To be stopped while the interpreter winds up would only leave a traceback in the log.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return ExitStatus.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
