"""The claims of the paper, one function each: figures, the rule, and what follows from them.

The networks that a claim is about decide it. Others (from scratch, the small stand-in) stand
beside with their own figures and verdicts, which are verdicts on them alone.
"""

from __future__ import annotations

from mien.experiments.report.claims.courses import stage_two, stagnation
from mien.experiments.report.claims.differences import class_weights, filters, mask
from mien.experiments.report.claims.findings import Findings
from mien.experiments.report.claims.levels import ensemble, pramerdorfer, weak
from mien.experiments.report.judgments import Claim


def judge(findings: Findings) -> tuple[Claim, ...]:
    """Judge every claim."""
    claims = (mask, filters, class_weights, stage_two, stagnation, weak, pramerdorfer, ensemble)
    return tuple(claim(findings) for claim in claims)
