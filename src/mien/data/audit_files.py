"""What an audit leaves behind: the table of findings, contact sheets, and lists of exclusions."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from mien.data.audit import FINDINGS, Audit, Finding
from mien.data.cache import Dataset
from mien.data.exclusion import Exclusion, write_exclusions
from mien.data.leaks import TRAIN
from mien.images.sheet import Picture, contact_sheet

TABLE, EXCLUDE, SEEN = "audit.csv", "exclude.csv", "seen.csv"
"""The files in an audit's folder, beside `<finding>.png`."""

REASONS = ("blank", "conflict", "leak", "near-leak")
"""For which findings images are excluded where nothing else is said."""

_SEEN_REASONS = ("seen", "near-seen")
# All other findings exclude images for training only: what is measured with stays as it is.
_IN_ALL_SPLITS = ("blank", *_SEEN_REASONS, "overlap", "near-overlap")

_COLUMNS, _ROWS = 10, 6
_TILE, _GAP = 96, 2
_LONGEST = 20  # letters of a name that fit below an image


def write_audit(
    audit: Audit, dataset: Dataset, folder: Path, reasons: Sequence[str] = REASONS
) -> list[Exclusion]:
    """Write `audit.csv`, a contact sheet for each finding, `exclude.csv` and `seen.csv`.

    `seen.csv` names the images of other splits that occur in training, to measure without them.

    Args:
        audit: what was found.
        dataset: in what.
        folder: one that nobody reads yet.
        reasons: for which of the `FINDINGS` images come into `exclude.csv`.

    Returns:
        The rows of `exclude.csv`.
    """
    exclusions = exclusions_for(audit.findings, reasons)
    rows = {
        (dataset.split_names[split], str(name)): row
        for row, (split, name) in enumerate(
            zip(np.asarray(dataset.splits).tolist(), dataset.names.tolist(), strict=True)
        )
    }
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        columns = [field.name for field in fields(Finding)]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(each) for each in audit.findings)
    write_exclusions(exclusions, folder / EXCLUDE)
    write_exclusions(exclusions_for(audit.findings, _SEEN_REASONS), folder / SEEN)
    for finding in audit.looked_for:
        found = [each for each in audit.findings if each.finding == finding]
        if found:
            _write_sheet(dataset, rows, found, folder / f"{finding}.png")
    return exclusions


def exclusions_for(findings: Sequence[Finding], reasons: Sequence[str]) -> list[Exclusion]:
    """Return the images to exclude, each once with its gravest finding as reason.

    Only images for training are, but for those blank, seen in training or in two other splits.

    Args:
        findings: in the order of `FINDINGS`.
        reasons: which of them count.
    """
    listed: dict[tuple[str, str], Exclusion] = {}
    for each in findings:
        wanted = each.finding in reasons
        if wanted and (each.split == TRAIN or each.finding in _IN_ALL_SPLITS):
            row = Exclusion(each.split, each.name, _reason(each))
            listed.setdefault((each.split, each.name), row)
    return list(listed.values())


def _reason(found: Finding) -> str:
    if found.other:
        other = f"{found.other_split} {found.other}"
        return f"{found.finding}: {found.label}; {other} is {found.other_label}"
    if found.other_label:
        return f"{found.finding}: {found.label}, rather {found.other_label}"
    return found.finding


def _write_sheet(
    dataset: Dataset, rows: Mapping[tuple[str, str], int], found: Sequence[Finding], file: Path
) -> None:
    """Draw up to 60 findings of one kind, evenly spaced from the clearest on."""
    count = min(len(found), _COLUMNS * _ROWS)
    shown = [found[place] for place in np.linspace(0, len(found) - 1, count).round().astype(int)]
    pictures = []
    for each in shown:
        image = np.asarray(dataset.images[rows[each.split, each.name]])
        detail = f"{each.label}, {each.score:.2f}"
        if each.other:
            other = np.asarray(dataset.images[rows[each.other_split, each.other]])
            gap = np.full((len(image), _GAP, *image.shape[2:]), 255, np.uint8)
            image = np.concatenate([image, gap, other], axis=1)
        if each.other_label:
            detail = f"{each.label} / {each.other_label}, {each.score:.2f}"
        pictures.append(Picture(image, _short(each.name), detail))
    kind = found[0].finding
    sheet = contact_sheet(
        pictures,
        title=f"{kind}: {FINDINGS[kind]}",
        subtitle=f"{count:,} of {len(found):,} findings, the clearest first",
        columns=_COLUMNS if not found[0].other else _COLUMNS // 2,
        tile=_TILE if not found[0].other else 2 * _TILE + 2 * _GAP,
    )
    sheet.save(file)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else "…" + name[-_LONGEST + 1 :]
