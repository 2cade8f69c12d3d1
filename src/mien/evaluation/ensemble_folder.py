"""The folder of an ensemble: `ensemble.json` names its members and says how they are combined.

Beside it lies `predictions/`, as in the folder of a run. The members stay where they are; their
paths are kept relative to the folder, with the SHA-256 of the weights that the ensemble was made
of, so that a member that was moved or trained again does not go unnoticed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.errors import MienError
from mien.evaluation.ensemble import Combiner
from mien.files import atomic_write, relative, sha256
from mien.version import __version__

FILE = "ensemble.json"
FORMAT = "1"


@dataclass(frozen=True)
class Member:
    """A model of an ensemble.

    Attributes:
        title: what tables and errors call it.
        source: what is opened: the folder of a run or of an ensemble, or an .onnx file.
        weights: the file that decides what it says; in or at `source`.
        sha256: of that file.
    """

    title: str
    source: Path
    weights: Path
    sha256: str


@dataclass(frozen=True, eq=False)
class EnsembleFolder:
    """What `ensemble.json` says.

    Attributes:
        combiner: takes as many members as there are.
        members: in the order in which the combiner takes them.
        fitted: the split, the test-time augmentation and the data set's checksum that the combiner
            was fitted to; None where nothing is fitted.
    """

    combiner: Combiner
    members: tuple[Member, ...]
    fitted: Mapping[str, Any] | None = None

    def save(self, folder: Path | str) -> Path:
        """Write the file into a folder, which may be new, and return its path.

        Raises:
            MienError: the folder holds another ensemble.
        """
        file = Path(folder) / FILE
        content = self._to_dict(Path(folder).resolve())
        if file.is_file() and _read(file) | {"mien": __version__} != content:
            raise MienError(
                f"{folder} holds another ensemble: its members, their weights or how they are "
                "combined differ",
                hint="choose another folder with --out, or remove this one first",
            )
        atomic_write(file, json.dumps(content, indent=2) + "\n")
        return file

    @classmethod
    def load(cls, folder: Path | str) -> EnsembleFolder:
        """Read the file of a folder and check that its members are what they were.

        Raises:
            MienError: there is no such file, it is damaged, or a member's weights are missing or
                changed; the message names the member.
        """
        file = Path(folder) / FILE
        values = _read(file)
        if values.get("format") != FORMAT:
            raise MienError(f"{file} is of the format {values.get('format')!r}, not {FORMAT!r}")
        try:
            combiner = Combiner.from_dict(values["combiner"])
            base = Path(folder).resolve()
            members = tuple(
                Member(
                    str(each["title"]),
                    (base / each["source"]).resolve(),
                    (base / each["weights"]).resolve(),
                    str(each["sha256"]),
                )
                for each in values["members"]
            )
        except (KeyError, TypeError, MienError) as error:
            raise MienError(f"{file} is damaged: {error}") from error
        if len(members) != combiner.members:
            raise MienError(
                f"{file} is damaged: it combines {combiner.members} members and names "
                f"{len(members)}"
            )
        for member in members:
            _check(file, member)
        return cls(combiner, members, values.get("fitted"))

    def _to_dict(self, base: Path) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "combiner": self.combiner.to_dict(),
            "members": [
                {
                    "title": each.title,
                    "source": relative(each.source, base),
                    "weights": relative(each.weights, base),
                    "sha256": each.sha256,
                }
                for each in self.members
            ],
            "fitted": None if self.fitted is None else dict(self.fitted),
            "mien": __version__,
        }


def is_ensemble(folder: Path | str) -> bool:
    """Say whether a folder is an ensemble's."""
    return (Path(folder) / FILE).is_file()


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise MienError(
            f"{file.parent} is not an ensemble (no {FILE})",
            hint="make one with: mien ensemble RUN... --out FOLDER",
        )
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MienError(f"{file} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise MienError(f"{file} is damaged: it is not a JSON object")
    return values


def _check(file: Path, member: Member) -> None:
    if not member.weights.is_file():
        raise MienError(
            f"the ensemble's member {member.title} is missing: there is no {member.weights}",
            hint=f"bring it back, or correct its path in {file}",
        )
    found = sha256(member.weights)
    if found != member.sha256:
        raise MienError(
            f"the ensemble's member {member.title} has changed: {member.weights} has the SHA-256 "
            f"{found[:12]}…, and the ensemble was made of {member.sha256[:12]}…",
            hint="bring the old weights back, or make the ensemble again with mien ensemble",
        )
