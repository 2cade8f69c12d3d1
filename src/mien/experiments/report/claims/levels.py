"""Claims on how good a network or an ensemble is."""

from __future__ import annotations

import numpy as np

from mien.emotions import EMOTIONS
from mien.experiments.plan import PAPER_ENSEMBLE, Group
from mien.experiments.report.claims.findings import (
    PAPER,
    STAND_IN,
    TITLES,
    Findings,
    evidence,
    figure,
    shifted,
    with_others,
)
from mien.experiments.report.claims.verdicts import about, about_rule, all_positive, objection
from mien.experiments.report.judgments import Claim, Evidence, Figure, Verdict
from mien.experiments.report.published import PRAMERDORFER
from mien.experiments.report.resampling import estimate

WEAK = ("angry", "fear", "sad")


def weak(findings: Findings) -> Claim:
    """Angry, fear and sad are the weak classes."""
    low = [EMOTIONS.index(each) for each in WEAK]
    rest = [each for each in range(len(EMOTIONS)) if each not in low]

    def of(recipe: str, decisive: bool) -> Evidence:
        result = findings.results[recipe]
        why = objection(result, 1)
        pool = findings.pool
        if result.accuracy is None or pool is None:
            return evidence(result.experiment.title, decisive, (), Verdict.OPEN, why)
        values = [each.value for each in result.accuracy.recalls]
        correct = pool.correct(result.runs)
        draws = [pool.resampler.draws(recipe, correct, each) for each in range(len(EMOTIONS))]
        gaps = np.min([draws[i] for i in rest], axis=0) - np.max([draws[i] for i in low], axis=0)
        value = min(values[i] for i in rest) - max(values[i] for i in low)
        gap = estimate(value, gaps, len(pool.resampler.labels), len(result.runs))
        order = sorted(range(len(EMOTIONS)), key=lambda each: values[each])
        shown = [
            figure(EMOTIONS[each], result.accuracy.recalls[each], signed=False)
            for each in order[:4]
        ]
        shown.append(figure("lowest of the other four less highest of the three", gap))
        return evidence(result.experiment.title, decisive, shown, all_positive([gap]), why)

    return Claim(
        "Angry, fear and sad are the weak classes",
        "Even the best network (ResNet-50) does poorly on angry, fear and sad.",
        "The lowest recall of the other four emotions less the highest of these three. Supported: "
        "its interval lies above 0. Contradicted: below. Shown are the four lowest recalls.",
        with_others(of, findings, ["resnet50"], ["resnet50-scratch", "cnn5", STAND_IN]),
    )


def pramerdorfer(findings: Findings) -> Claim:
    """Every pretrained network beats Pramerdorfer's of the same kind."""

    def judged(subject: str, decisive: bool, suffix: str, on_test: bool) -> Evidence:
        shown, gains = [], []
        for recipe, (kind, theirs) in PRAMERDORFER.items():
            result = findings.results[recipe + suffix]
            ours = result.test
            if not on_test and result.accuracy is not None:
                ours = result.accuracy.total
            if ours is None or result.changes:
                continue
            less = shifted(ours, -theirs / 100)
            gains.append(less)
            split = "test" if on_test else findings.split
            shown.append(figure(f"{TITLES[recipe + suffix]} ({split}) less {kind} {theirs}", less))
        why = "" if len(gains) == len(PRAMERDORFER) else "not all three were run as recipes say"
        if not on_test:
            why = why or f"theirs are test figures, these are of {findings.split}"
        return evidence(subject, decisive, shown, all_positive(gains), why)

    printed = [
        Figure(
            f"{TITLES[recipe]} less {kind} {theirs}",
            (float(PAPER[recipe].paper_final or 0) - theirs) / 100,
            None,
            None,
            True,
            "test, as printed",
        )
        for recipe, (kind, theirs) in PRAMERDORFER.items()
    ]
    beaten = all(each.value > 0 for each in printed)
    own = Verdict.SUPPORTED if beaten else Verdict.CONTRADICTED
    on_test = any(each.test for each in findings.results.values())
    found = [judged("The paper's networks", True, "", on_test)]
    beside = judged("The same networks from scratch", False, "-scratch", on_test)
    found += [beside] if beside.figures else []
    return Claim(
        "Every pretrained network beats Pramerdorfer's",
        "Every pretrained network is above Pramerdorfer & Kampel's of the same kind, which were "
        "trained from scratch (VGG 72.7, ResNet 72.4, Inception 71.6, test).",
        "Our accuracy less theirs, theirs taken as exact. Supported: all intervals lie above 0. "
        "Contradicted: one lies below. Only test figures decide. The paper's own table is judged "
        "by its figures without intervals.",
        (*found, evidence("The paper's own table", False, printed, own)),
    )


def ensemble(findings: Findings) -> Claim:
    """The ensemble gains 2.2 points over its best member."""
    best = max(each.paper_final or 0.0 for each in PAPER.values() if each.member)
    stated = round((PAPER_ENSEMBLE - best) / 100, 3)

    def of(group: Group, decisive: bool) -> Evidence:
        figures = findings.ensembles.get(group)
        if figures is None:
            return evidence("The paper's seven networks", decisive, (), Verdict.OPEN, "not run")
        gain = figures.paper_gain or figures.gain
        paper = figures.paper_gain is not None
        who = "the paper's seven" if paper else f"all {len(figures.members)}"
        why = "" if paper or not decisive else "not all of the paper's seven were run"
        if figures.changed and not why:
            why = f"{len(figures.changed)} members were not run as their recipes say"
        shown = figure(f"mean of {who} less the best of them", gain)
        return evidence(figures.title, decisive, [shown], about(gain, stated), why)

    groups: tuple[Group, ...] = ("scratch", "filters", "stand-in")
    beside = [of(group, False) for group in groups if group in findings.ensembles]
    return Claim(
        "The ensemble gains 2.2 points",
        f"The ensemble of seven ({PAPER_ENSEMBLE:g} %) is {100 * stated:.1f} points above its best "
        f"member ({best:g} %).",
        f"{about_rule(stated)} The best member is chosen on the images that are measured.",
        (of("paper", True), *beside),
    )
