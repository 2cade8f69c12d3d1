"""From a folder of runs to all figures of its report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.predictions import Predictions
from mien.experiments.report.ablations import ablations
from mien.experiments.report.claims import judge
from mien.experiments.report.claims.findings import Findings
from mien.experiments.report.costs import costs, device
from mien.experiments.report.ensembles import ensembles
from mien.experiments.report.figures import ClassTable, Head, Report
from mien.experiments.report.pool import pool
from mien.experiments.report.published import CLASS_TABLE, SPLIT_SIZES
from mien.experiments.report.results import sort_runs
from mien.experiments.report.run_folder import RunRecord, is_run, read
from mien.progress import Progress, silent
from mien.version import __version__

TEST = "test"


def gather(folder: Path | str, *, split: str = "validation", progress: Progress = silent) -> Report:
    """Read a folder of run folders, as `mien reproduce` leaves it.

    Args:
        folder: holds `<recipe>-seed<number>/` and other run folders.
        split: the split that runs are measured on; it needs labels.
        progress: counts run folders.

    Raises:
        MienError: there is no such folder, or no run in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MienError(f"there is no folder {folder}")
    folders = sorted(each for each in folder.iterdir() if each.is_dir() and is_run(each))
    if not folders:
        raise MienError(
            f"{folder} holds no run folders",
            hint="name the folder that mien reproduce was given as --out",
        )
    splits = tuple(dict.fromkeys((split, TEST)))
    runs = []
    for number, each in enumerate(folders, start=1):
        runs.append(read(each, splits))
        progress(number, len(folders))
    return _report(folder, split, runs)


def _report(folder: Path, split: str, runs: list[RunRecord]) -> Report:
    whole = [run for run in runs if not run.problem]
    here, left_out = pool(whole, split)
    test, left_out_of_test = pool(whole, TEST)
    left_out = left_out_of_test | left_out if test else left_out
    places = sort_runs([run for run in runs if run.name not in left_out], here, test)
    by_recipe = {result.experiment.recipe: result for result in places.results}
    together = ensembles(places.results, here)
    findings = Findings(split, by_recipe, together, here)
    broken = [(run, left_out.get(run.name) or run.problem) for run in runs]
    return Report(
        head=_head(folder, split, whole),
        classes=_classes(folder, whole),
        results=places.results,
        others=places.others,
        broken=tuple((run, why) for run, why in broken if why),
        ensembles=tuple(together.values()),
        costs=costs(places.results, places.others),
        claims=judge(findings),
        ablations=ablations(folder, split, places.results, here),
        test_labels=test is not None,
    )


def _head(folder: Path, split: str, runs: Sequence[RunRecord]) -> Head:
    days = sorted(
        str(session["started"])[:10]
        for run in runs
        for session in (*run.sessions, run.info)
        if session.get("started")
    )
    environments = [
        each.get("environment") or {} for run in runs for each in (*run.sessions, run.info)
    ]
    return Head(
        folder=folder.resolve().name,
        split=split,
        first=days[0] if days else "",
        last=days[-1] if days else "",
        checksums=_counted(str(run.data.get("checksum", "not recorded")) for run in runs),
        seeds=tuple(sorted({run.seed for run in runs})),
        devices=_counted(device(run) for run in runs),
        versions=tuple(sorted({str(each["mien"]) for each in environments if "mien" in each})),
        overrides=_overrides(folder / "reproduce.json"),
        runs=len(runs),
        mien=__version__,
    )


def _counted(values: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(values).most_common())


def _overrides(path: Path) -> tuple[str, ...]:
    """Return the keys that `mien reproduce` was told to change, of whichever of its calls."""
    try:
        requests = json.loads(path.read_text(encoding="utf-8"))["requests"]
        said = [str(each) for request in requests for each in request["overrides"]]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(dict.fromkeys(said))


def _classes(folder: Path, runs: Sequence[RunRecord]) -> ClassTable:
    """Count the images of each emotion in the first predictions there are for each split."""
    counts: dict[str, tuple[int, ...] | None] = {}
    images: dict[str, int] = {}
    for split in SPLIT_SIZES:
        for run in runs:
            path = folder / run.name / "predictions" / f"{split}.parquet"
            if not path.is_file():
                continue
            try:
                predictions = run.predictions.get(split) or Predictions.load(path)
            except MienError:
                continue  # the next run may have a whole file
            images[split] = len(predictions)
            labels = predictions.labels[predictions.labeled]
            bins = np.bincount(labels, minlength=len(EMOTIONS))
            counts[split] = tuple(bins.tolist()) if len(labels) else None
            break
    return ClassTable(CLASS_TABLE, counts, images)
