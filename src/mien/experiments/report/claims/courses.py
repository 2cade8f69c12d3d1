"""Claims on how a training goes."""

from __future__ import annotations

from collections.abc import Iterable

from mien.experiments.report.claims.findings import (
    PAPER,
    TITLES,
    Findings,
    evidence,
    late_gains,
    stage_gain,
)
from mien.experiments.report.claims.verdicts import band, most
from mien.experiments.report.judgments import Claim, Evidence, Figure

STAGE_TWO = 0.015
STAGNATION_EPOCH, FEWEST_EPOCHS = 15, 25
_TRANSFER = tuple(recipe for recipe, each in PAPER.items() if each.paper_stage1 is not None)


def stage_two(findings: Findings) -> Claim:
    """Stage 2 adds about 1.5 points in most cases."""
    low, high = band(STAGE_TWO)

    def judged(subject: str, decisive: bool, gains: dict[str, float], scope: str) -> Evidence:
        shown = [Figure(TITLES[r], gain, None, None, True, scope) for r, gain in gains.items()]
        cases = [low <= gain <= high for gain in gains.values()]
        missing = len(_TRANSFER) - len(gains)
        why = f"{missing} of the {len(_TRANSFER)} networks without both stages" if missing else ""
        return evidence(subject, decisive, shown, most(cases), why)

    def ours(suffix: str) -> dict[str, float]:
        gains = {}
        for recipe in _TRANSFER:
            result = findings.results.get(recipe + suffix)
            gain = stage_gain(result.runs) if result and not result.changes else None
            if gain is not None:
                gains[recipe + suffix] = gain
        return gains

    scope = "best validation accuracies of the epochs"
    printed = {
        recipe: (float(each.paper_final or 0) - float(each.paper_stage1 or 0)) / 100
        for recipe, each in PAPER.items()
        if recipe in _TRANSFER
    }
    found = [judged("The paper's networks", True, ours(""), scope)]
    if ours("-scratch"):
        found.append(judged("The same networks from scratch", False, ours("-scratch"), scope))
    found.append(judged("The paper's own table", False, printed, "test, as printed"))
    return Claim(
        "Stage 2 adds about 1.5 points",
        "Training all layers in a second stage adds about 1.5 points “in most cases”.",
        f"A case counts where the best epoch of stage 2 is {100 * low:g} to {100 * high:g} points "
        "above that of stage 1. Supported: more than half of the networks that have both stages in "
        "the paper's table. Contradicted: half or fewer. All of them must have been run.",
        tuple(found),
    )


def stagnation(findings: Findings) -> Claim:
    """Training stagnates after some 15 epochs."""
    count = len(findings.pool.resampler.labels) if findings.pool else 0

    def judged(subject: str, decisive: bool, recipes: Iterable[str]) -> Evidence:
        shown, cases = [], []
        for recipe in recipes:
            result = findings.results[recipe]
            gains = late_gains(result.runs, STAGNATION_EPOCH, FEWEST_EPOCHS)
            if gains is None or result.accuracy is None or result.changes:
                continue
            share = result.accuracy.total.value
            error = (share * (1 - share) / count) ** 0.5
            late, training = gains
            title = f"{result.experiment.title}: validation gains after epoch {STAGNATION_EPOCH}"
            shown.append(Figure(title, late, None, None, True, f"standard error {100 * error:.1f}"))
            cases.append(late < error and training > 0)
        why = "" if cases else f"no run as the recipe says has {FEWEST_EPOCHS} epochs in a stage"
        return evidence(subject, decisive, shown, most(cases), why)

    scratch = [r for r, each in findings.results.items() if each.experiment.group != "paper"]
    transfer = [recipe for recipe in PAPER if recipe != "cnn5"]
    found = [judged("The paper's pretrained networks", True, transfer)]
    others = judged("Networks from scratch", False, ["cnn5", *scratch])
    return Claim(
        "Training stagnates after some 15 epochs",
        "After the 15th epoch the validation accuracy stagnates while the training accuracy keeps "
        "rising.",
        f"A network counts as stagnating where, in its first stage, the epochs after the "
        f"{STAGNATION_EPOCH}th raise the best validation accuracy by less than one standard error "
        "of it, and the training accuracy still rises. Supported: more than half of the networks "
        f"with {FEWEST_EPOCHS} epochs or more. Contradicted: half or fewer.",
        tuple([*found, others] if others.figures else found),
    )
