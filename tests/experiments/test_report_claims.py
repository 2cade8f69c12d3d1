"""Verdicts: by the stated rules, for figures on either side of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from mien.experiments.report import gather
from mien.experiments.report.claims.verdicts import about, all_positive
from mien.experiments.report.figures import Estimate
from mien.experiments.report.judgments import Claim, Verdict

TRANSFER = ("resnet50", "senet50", "vgg16", "facenet")


def _claim(folder: Path, title: str) -> Claim:
    return next(each for each in gather(folder).claims if title in each.title)


def _estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, low, high, 100, 2)


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.02, 0.005, 0.035, Verdict.SUPPORTED),
        (0.02, -0.001, 0.041, Verdict.OPEN),
        (0.04, 0.025, 0.055, Verdict.OPEN),
        (0.04, 0.031, 0.049, Verdict.CONTRADICTED),
        (0.0, -0.009, 0.009, Verdict.CONTRADICTED),
        (0.0, float("nan"), float("nan"), Verdict.OPEN),
    ],
)
def test_about_two_points(value: float, low: float, high: float, verdict: Verdict) -> None:
    assert about(_estimate(value, low, high), 0.02) == verdict


def test_one_of_several_on_the_wrong_side_contradicts() -> None:
    good, bad, open_ = (_estimate(0, *ends) for ends in ((1, 2), (-2, -1), (-1, 1)))
    assert all_positive([good, good]) == Verdict.SUPPORTED
    assert all_positive([good, open_]) == Verdict.OPEN
    assert all_positive([good, bad, open_]) == Verdict.CONTRADICTED


@pytest.mark.parametrize(
    ("gain", "verdict"), [(14, Verdict.SUPPORTED), (-28, Verdict.CONTRADICTED)]
)
def test_the_mask(tmp_path: Path, maker: SimpleNamespace, gain: int, verdict: Verdict) -> None:
    for seed in (0, 1):
        maker.run(tmp_path, "cnn5-plain", maker.right(350), seed)
        maker.run(tmp_path, "cnn5", maker.right(350 + gain), seed)
    claim = _claim(tmp_path, "mask")
    assert claim.verdict == verdict
    assert claim.evidence[0].figures[0].value == pytest.approx(gain / 700)


def test_the_stand_in_decides_nothing_of_the_5_layer_cnn(
    tmp_path: Path, maker: SimpleNamespace
) -> None:
    for seed in (0, 1):
        maker.run(tmp_path, "foldnet-micro", maker.right(350), seed)
        maker.run(tmp_path, "foldnet-micro-unsharp", maker.right(364), seed)
    claim = _claim(tmp_path, "mask")
    assert claim.verdict == Verdict.OPEN
    decides, beside = claim.evidence
    assert (decides.decisive, decides.figures) == (True, ())
    assert (beside.decisive, beside.verdict) == (False, Verdict.SUPPORTED)


def test_one_seed_or_a_changed_recipe_decides_nothing(
    tmp_path: Path, maker: SimpleNamespace
) -> None:
    for folder, seeds, overrides in (
        ("one", (0,), []),
        ("changed", (0, 1), ["training.images=2000"]),
    ):
        for seed in seeds:
            for recipe, count in (("cnn5-plain", 350), ("cnn5", 364)):
                mask = maker.right(count)
                maker.run(tmp_path / folder, recipe, mask, seed, overrides=overrides)
    one, changed = (_claim(tmp_path / each, "mask") for each in ("one", "changed"))
    assert one.verdict == changed.verdict == Verdict.OPEN
    assert "one seed" in one.evidence[0].why
    assert "not run as its recipe says" in changed.evidence[0].why
    assert changed.evidence[0].figures[0].value == pytest.approx(0.02)


def test_stage_two_counts_cases(tmp_path: Path, maker: SimpleNamespace) -> None:
    for folder, gains in (("most", (1.5, 1, 2, 5)), ("half", (1.5, 1, 0.2, 5))):
        for recipe, gain in zip(TRANSFER, gains, strict=True):
            first = [("1", 0.6, 0.6)] * (150 if recipe == "facenet" else 100)
            second = [("2", 0.6, 0.6 + gain / 100)] * 100
            maker.run(tmp_path / folder, recipe, maker.right(350), epochs=first + second)
    most, half = (_claim(tmp_path / each, "Stage 2") for each in ("most", "half"))
    assert most.verdict == Verdict.SUPPORTED
    assert half.verdict == Verdict.CONTRADICTED
    printed = most.evidence[-1]
    assert [each.value for each in printed.figures] == pytest.approx([0.01, 0.0328, 0.017, 0.006])


@pytest.mark.parametrize(("late", "verdict"), [(0.0, "supported"), (0.1, "contradicted")])
def test_stagnation(tmp_path: Path, maker: SimpleNamespace, late: float, verdict: str) -> None:
    course = [("1", 0.01 * n, min(n, 15) * 0.03 + (late if n > 15 else 0)) for n in range(1, 101)]
    maker.run(tmp_path, "resnet50", maker.right(350), epochs=[*course, *[("2", 0.9, 0.4)] * 100])
    assert _claim(tmp_path, "stagnates").verdict == verdict


def test_the_weak_classes(tmp_path: Path, maker: SimpleNamespace) -> None:
    emotion = maker.predictions(maker.right(0)).labels
    for folder, weak in (("as-said", (0, 2, 4)), ("others", (1, 2, 4))):
        mask = maker.right(420)
        for each in weak:
            mask[emotion == each] = maker.right(210)[emotion == each]
        maker.run(tmp_path / folder, "resnet50", mask)
    assert _claim(tmp_path / "as-said", "weak").verdict == Verdict.SUPPORTED
    assert _claim(tmp_path / "others", "weak").verdict == Verdict.CONTRADICTED


def test_pramerdorfer_is_decided_by_test_figures_alone(
    tmp_path: Path, maker: SimpleNamespace
) -> None:
    for folder, labels, count in (("blind", False, 650), ("good", True, 650), ("bad", True, 350)):
        for recipe in ("resnet50", "vgg16", "facenet"):
            mask = maker.right(count)
            maker.run(tmp_path / folder, recipe, mask, test_labels=labels)
    found = {each: _claim(tmp_path / each, "Pramerdorfer") for each in ("blind", "good", "bad")}
    assert found["blind"].verdict == Verdict.OPEN
    assert found["good"].verdict == Verdict.SUPPORTED
    assert found["bad"].verdict == Verdict.CONTRADICTED
    # The paper's own figures: VGG 71.2 against 72.7, FaceNet 70.8 against 71.6.
    assert found["good"].evidence[-1].verdict == Verdict.CONTRADICTED


def test_the_ensemble_s_gain_needs_the_paper_s_seven(
    tmp_path: Path, maker: SimpleNamespace
) -> None:
    recipes = ("cnn5", "resnet50", "resnet50-weighted", "resnet50-equalize")
    recipes += ("senet50", "senet50-weighted", "facenet")
    for number, recipe in enumerate(recipes[:-1]):
        maker.run(tmp_path, recipe, maker.right(400, number))
    missing = _claim(tmp_path, "ensemble")
    assert missing.verdict == Verdict.OPEN
    maker.run(tmp_path, recipes[-1], maker.right(400, 6))
    # Four of the seven must agree: they are right on the third image to the 403rd, also 400.
    claim = _claim(tmp_path, "ensemble")
    assert claim.evidence[0].figures[0].value == pytest.approx(0.0)
    assert claim.verdict == Verdict.CONTRADICTED
