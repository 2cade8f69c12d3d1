"""From the sources to a prepared data set: recognize, read, report what is bad, write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.data import votes as ferplus
from mien.data.builder import Builder
from mien.data.cache import Dataset, load, save_all_but_images
from mien.data.exclusion import read_exclusions
from mien.data.form import Form
from mien.data.problems import BadRowsError, Problems
from mien.data.readers import discover
from mien.data.readers.base import Options, Reader
from mien.errors import MienError, of_the_system
from mien.files import atomic_directory, sha256
from mien.progress import Progress, silent
from mien.version import __version__


@dataclass(frozen=True)
class Prepared:
    """A data set that was written.

    Attributes:
        dataset: opened from its folder.
        skipped: the bad rows that were left out of it.
        left_out: by class, how many good rows are of none of the seven emotions ("contempt").
        notes: what else the user should know, a line a source.
        excluded: how many good rows the exclusion lists left out.
    """

    dataset: Dataset
    skipped: Problems
    left_out: Mapping[str, int]
    notes: tuple[str, ...]
    excluded: int


def prepare(
    sources: Sequence[Path | str],
    out: Path | str,
    *,
    form: Form | None = None,
    options: Options | None = None,
    skip_bad: bool = False,
    seven_only: bool = False,
    exclude: Sequence[Path | str] = (),
    progress: Progress = silent,
) -> Prepared:
    """Read FER2013, CK+, JAFFE, RAF-DB, AffectNet or images in folders, and write a data set.

    Args:
        sources: files and folders; `mien.data.readers` lists what is recognized.
        out: the new data set's folder.
        form: the images' size and channels; by default their own size, gray.
        options: what some formats leave open.
        skip_bad: leave bad rows out instead of raising an error.
        seven_only: raise an error where a source has other classes than the seven emotions, instead
            of leaving their images out.
        exclude: exclusion lists (`mien.data.exclusion`), by the names that the rows would have.
        progress: is told the rows done of about how many.

    Returns:
        The data set, opened from `out`, and what was skipped.

    Raises:
        BadRowsError: rows are bad; all of them are named and nothing is written.
        MienError: a source is not recognized or has other classes, images differ in size, names or
            votes do not fit, an exclusion list cannot be read or names an image that did not come,
            `out` is not empty, or a file cannot be read or written.
    """
    try:
        return _prepare(
            [Path(source) for source in sources],
            Path(out),
            form or Form(),
            _Policy(options or Options(), skip_bad, seven_only, [Path(file) for file in exclude]),
            progress,
        )
    except OSError as error:
        raise of_the_system(error) from error


@dataclass(frozen=True)
class _Policy:
    options: Options
    skip_bad: bool
    seven_only: bool
    exclude: Sequence[Path]


def _prepare(
    sources: Sequence[Path], out: Path, form: Form, policy: _Policy, progress: Progress
) -> Prepared:
    problems = Problems()
    exclude = read_exclusions(policy.exclude)
    with atomic_directory(out) as folder, Builder(folder, form, exclude) as builder:
        readers, ballot = discover(sources)
        for reader in readers:
            reader.options = policy.options
        if ballot is not None:
            _check_order(readers)
        # Checksums take a tenth of the time and leave the interpreter to the reading.
        with ThreadPoolExecutor(1) as beside:
            hashing = beside.map(lambda reader: reader.sha256(), readers)
            _read(readers, builder, form, problems, progress)
            digests = list(hashing)
        _check_copies(readers, digests)
        votes = None if ballot is None else ferplus.read(ballot, problems)
        if problems and not policy.skip_bad:
            raise BadRowsError(problems)
        left_out = _left_out(readers, policy.seven_only)
        provenance = _provenance(readers, digests, ballot, problems)
        provenance["left_out"] = left_out
        provenance["excluded"] = [
            {"name": file.name, "sha256": sha256(file)} for file in policy.exclude
        ]
        provenance["options"] = {
            "size": form.size,
            "color": form.color,
            "skip_bad": policy.skip_bad,
            **asdict(policy.options),
        }
        dataset = builder.finish(votes, provenance)
        save_all_but_images(dataset, folder)
    notes = tuple(f"{reader.path.name}: {reader.note}" for reader in readers if reader.note)
    return Prepared(load(out), problems, left_out, notes, builder.excluded)


def _read(
    readers: list[Reader], builder: Builder, form: Form, problems: Problems, progress: Progress
) -> None:
    for reader in readers:
        for rows in reader.read(color=form.color, problems=problems):
            builder.append(rows, reader)
            # What a table holds is estimated, so the bar must not end before its time.
            progress(len(builder), max(sum(reader.rows for reader in readers), len(builder)))
        builder.finish_source(reader)


def _left_out(readers: list[Reader], seven_only: bool) -> dict[str, int]:
    """Return how many rows are of which other class, the most frequent first."""
    left_out = dict(sum((reader.left_out for reader in readers), Counter[str]()).most_common())
    if left_out and seven_only:
        classes = ", ".join(f"{name} {count:,}" for name, count in left_out.items())
        raise MienError(
            f"images are of classes that are none of the seven emotions: {classes}",
            hint="without --seven-only they are left out",
        )
    return left_out


def _check_order(readers: list[Reader]) -> None:
    """FER+'s votes have no names to join by, so the rows must be in FER2013's order."""
    for reader in readers:
        if not reader.in_order:
            raise MienError(
                f"FER+'s votes are joined row by row, and {reader.path} ({reader.format}) "
                "has not kept FER2013's order",
                hint="give FER2013 as CSV or Parquet, or leave the votes out",
            )


def _check_copies(readers: list[Reader], digests: list[str]) -> None:
    """Refuse a file given twice where names do not tell, as they are made different."""
    files: dict[str, Path] = {}
    for reader, digest in zip(readers, digests, strict=True):
        if reader.own_names and digest in files:
            raise MienError(f"{files[digest]} and {reader.path} are the same file")
        files[digest] = reader.path


def _provenance(
    readers: list[Reader], digests: list[str], ballot: Path | None, problems: Problems
) -> dict[str, Any]:
    """Say where the rows came from; names only, no path tells of this machine."""
    sources = [
        {"name": reader.path.resolve().name, "format": reader.format, "sha256": digest}
        for reader, digest in zip(readers, digests, strict=True)
    ]
    if ballot is not None:
        sources.append({"name": ballot.name, "format": "FER+ votes", "sha256": sha256(ballot)})
    return {
        "sources": sources,
        "skipped": problems.counts(),
        "mien": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
