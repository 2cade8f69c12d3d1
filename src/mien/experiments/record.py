"""`reproduce.json`: what was asked for in a folder of runs, so that a report can tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.files import atomic_write
from mien.version import __version__

FILE = "reproduce.json"


def read(out: Path) -> dict[str, Any]:
    """Return the record of a folder of runs, empty where it has none.

    The keys are `data` (`checksum`, `images`), `requests` (each with `only`, `seeds`, `overrides`
    and mien's version, the latest last) and `runs` (by name, each with `recipe`, `seed` and the
    `overrides` that it is trained with, the seed not among them).

    Raises:
        MienError: the file is no such record.
    """
    file = out / FILE
    if not file.is_file():
        return {}
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        record["data"]["checksum"], record["requests"], record["runs"]
    except (ValueError, KeyError, TypeError) as error:
        raise MienError(
            f"{file} is damaged: {error}", hint="remove it; runs need it not"
        ) from error
    return record


def check(out: Path, dataset: Dataset) -> None:
    """Refuse to put runs of different data into one folder.

    Raises:
        MienError: the folder was made with other data.
    """
    record = read(out)
    if record and record["data"]["checksum"] != dataset.checksum:
        raise MienError(
            f"the runs in {out} are of other data (checksum {record['data']['checksum'][:12]}…, "
            f"not {dataset.checksum[:12]}…)",
            hint="choose another --out, or the --data that it was made with",
        )


def write(
    out: Path,
    dataset: Dataset,
    *,
    only: Sequence[str],
    seeds: int,
    overrides: Sequence[str],
    runs: Sequence[tuple[str, str, int]],
) -> None:
    """Add a request to the record of a folder.

    Args:
        out: the folder of runs.
        dataset: what they are trained on.
        only: the names of experiments and groups; empty is all.
        seeds: how many.
        overrides: as `--set` takes them.
        runs: name, recipe and seed of each run that the request trains or has found trained.
    """
    record = read(out)
    request = {
        "only": list(only),
        "seeds": seeds,
        "overrides": list(overrides),
        "mien": __version__,
    }
    requests = record.get("requests", [])
    if request not in requests[-1:]:
        requests = [*requests, request]
    own = {
        name: {"recipe": recipe, "seed": seed, "overrides": list(overrides)}
        for name, recipe, seed in runs
    }
    content = {
        "data": {"checksum": dataset.checksum, "images": len(dataset)},
        "requests": requests,
        "runs": dict(sorted((record.get("runs", {}) | own).items())),
    }
    atomic_write(out / FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
