"""Claims that one recipe does better or worse than another by something."""

from __future__ import annotations

from mien.emotions import EMOTIONS
from mien.experiments.report.claims.findings import (
    STAND_IN,
    TITLES,
    Findings,
    complement,
    evidence,
    figure,
    negative,
    rarest,
    with_others,
)
from mien.experiments.report.claims.verdicts import PAIR_RULE, about, about_rule, all_positive
from mien.experiments.report.judgments import Claim, Evidence, Verdict

MASK, CLASS_WEIGHTS = 0.02, 0.60 - 0.28


def mask(findings: Findings) -> Claim:
    """The unsharp mask is worth about 2 points to the 5-layer CNN."""

    def of(recipe: str, decisive: bool) -> Evidence:
        result = findings.results[recipe]
        why = findings.pair_objection(recipe)
        if result.difference is None:
            return evidence(result.experiment.title, decisive, (), Verdict.OPEN, why)
        total = result.difference.total
        shown = figure("accuracy with the mask less without", total)
        return evidence(result.experiment.title, decisive, [shown], about(total, MASK), why)

    return Claim(
        "The mask helps the small network",
        "An unsharp mask in front of the 5-layer CNN is worth about 2 points of accuracy.",
        f"{about_rule(MASK)} {PAIR_RULE}",
        with_others(of, findings, ["cnn5"], [f"{STAND_IN}-unsharp"]),
    )


def filters(findings: Findings) -> Claim:
    """Both filters lower ResNet-50's total and raise its rate for angry."""
    angry = EMOTIONS.index("angry")

    def of(network: str, decisive: bool) -> Evidence:
        shown, judged, whys = [], [], []
        for stem in ("unsharp", "equalize"):
            recipe = _filtered(network, stem)
            result = findings.results[recipe]
            whys.append(findings.pair_objection(recipe))
            if result.difference is None:
                continue
            title = {"unsharp": "unsharp mask", "equalize": "equalization"}[stem]
            total, rate = result.difference.total, result.difference.recalls[angry]
            shown += [figure(f"{title}: accuracy", total), figure(f"{title}: angry", rate)]
            judged += [negative(total), rate]
        why = next((why for why in whys if why), "")
        return evidence(TITLES[network], decisive, shown, all_positive(judged), why)

    return Claim(
        "Filters on ResNet-50: a lower total, more of angry",
        "In front of ResNet-50 the unsharp mask and histogram equalization both lower the total "
        "accuracy, but raise the rate for angry.",
        "Four differences to the network without a filter. Supported: each interval is on the "
        f"claim's side of 0. Contradicted: one lies wholly on the other side. {PAIR_RULE}",
        with_others(of, findings, ["resnet50"], ["resnet50-scratch", STAND_IN]),
    )


def _filtered(network: str, stem: str) -> str:
    """Return the recipe of a network behind a filter: "resnet50-unsharp-scratch"."""
    base, scratch = network.removesuffix("-scratch"), network.endswith("-scratch")
    return f"{base}-{stem}-scratch" if scratch else f"{base}-{stem}"


def class_weights(findings: Findings) -> Claim:
    """Class weights cut the misclassification from 60 to 28 percent."""
    rare = rarest(findings.pool) if findings.pool else EMOTIONS.index("disgust")

    def of(recipe: str, decisive: bool) -> Evidence:
        result = findings.results[recipe]
        why = findings.pair_objection(recipe)
        subject = result.experiment.title
        if result.difference is None or result.accuracy is None:
            return evidence(subject, decisive, (), Verdict.OPEN, why)
        baseline = findings.results[str(result.experiment.baseline)].accuracy
        assert baseline is not None
        cut = result.difference.recalls[rare]
        shown = (
            figure("misclassified without", complement(baseline.recalls[rare]), signed=False),
            figure("misclassified with", complement(result.accuracy.recalls[rare]), signed=False),
            figure("cut by", cut),
        )
        return evidence(subject, decisive, shown, about(cut, CLASS_WEIGHTS), why)

    weighted = [recipe for recipe in findings.results if "-weighted" in recipe]
    return Claim(
        "Class weights cut misclassification",
        "Class weights cut the misclassification rate from 60 % to 28 %. For which class is not "
        f"said; taken is the rarest, {EMOTIONS[rare]}, which weights favor most. The 60 % are "
        "another work's, so what is judged is the cut of 32 points against our own run without.",
        f"{about_rule(CLASS_WEIGHTS)} {PAIR_RULE}",
        with_others(
            of, findings, ["resnet50-weighted"], [r for r in weighted if r != "resnet50-weighted"]
        ),
    )
