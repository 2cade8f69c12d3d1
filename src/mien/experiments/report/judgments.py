"""What runs say to a claim of the paper, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What runs say to a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    OPEN = "not enough data"


@dataclass(frozen=True)
class Figure:
    """A figure that a claim is judged by.

    Attributes:
        label: what it is of.
        value: a fraction.
        low, high: its 95 % interval; None where it has none.
        signed: it is a difference, and written in points with its sign; else a share in percent.
        scope: the images, seeds or networks that it is over.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    signed: bool
    scope: str


@dataclass(frozen=True)
class Evidence:
    """What some runs (or the paper's own table) say to a claim.

    Attributes:
        subject: whose figures these are.
        decisive: the claim is about these networks; else they stand beside.
        figures: that the rule looks at; empty where nothing was run.
        verdict: by the claim's rule.
        why: why there is no verdict, or that the figures decide.
    """

    subject: str
    decisive: bool
    figures: tuple[Figure, ...]
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper with what the runs say to it.

    Attributes:
        title: the claim in short.
        said: the claim.
        rule: by which figures become a verdict.
        evidence: the networks that the claim is about first, others after them.
    """

    title: str
    said: str
    rule: str
    evidence: tuple[Evidence, ...]

    @property
    def verdict(self) -> Verdict:
        """What the evidence says that decides."""
        return next(each.verdict for each in self.evidence if each.decisive)
