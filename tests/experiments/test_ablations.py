"""The ablations: recipes that differ from the base in one thing, and the report on them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mien.cli.main import main
from mien.data import cache
from mien.evaluation.align import take
from mien.experiments.plan import EXPERIMENTS, select
from mien.experiments.report import gather
from mien.experiments.report.ablation_figures import Ablations, Decision, Gain, Row
from mien.experiments.report.paired import Measured, Pairs, gains, measure
from mien.experiments.report.resampling import Resampler
from mien.experiments.tasks import State, look, tasks_of
from mien.training.batches import training_places
from mien.training.differences import differences
from mien.training.recipe import load

ABLATIONS = [each for each in EXPERIMENTS if each.group == "ablations"]


def test_each_recipe_differs_from_the_base_in_one_thing() -> None:
    base = load("ablation")
    found = {
        each.recipe: [difference.key for difference in differences(base, load(each.recipe))]
        for each in ABLATIONS
    }
    assert found.pop("ablation") == []
    # Another optimizer has other rates; sizes are a list of tables.
    assert {key.split(".")[0] for key in found.pop("ablation-sgd")} == {"optimizer"}
    assert {key.split(".")[1] for key in found.pop("ablation-progressive")} == {"sizes"}
    assert {len(keys) for keys in found.values()} == {1}
    assert len({tuple(keys) for keys in found.values()}) == len(found)


def _pairs(maker: SimpleNamespace, *counts: tuple[int, int]) -> Pairs:
    labels = maker.predictions(maker.right(0)).labels
    ours = np.stack([maker.right(count, 20) for count, _ in counts])
    theirs = np.stack([maker.right(count) for _, count in counts])
    return Pairs(labels, ours, theirs, np.ones_like(ours))


@pytest.mark.parametrize("balanced", [False, True])
def test_a_gain_is_the_mean_of_the_seeds_differences(
    maker: SimpleNamespace, balanced: bool
) -> None:
    measured = measure(_pairs(maker, (371, 350), (350, 357)), balanced=balanced)
    assert measured.seeds == pytest.approx((0.03, -0.01))  # classes are of one size here
    [gain] = gains([measured])
    assert gain.value == pytest.approx(0.01)
    # Student's with one degree of freedom: 12.706.
    error = (measured.variance + 0.0008 / 2) ** 0.5
    reach = 12.706 * error
    assert (gain.low, gain.high) == pytest.approx((0.01 - reach, 0.01 + reach), rel=1e-3)


def test_the_images_variance_is_the_paired_bootstrap_s(maker: SimpleNamespace) -> None:
    pairs = _pairs(maker, (400, 380))
    resampler = Resampler(pairs.labels)
    draws = resampler.draws("a", pairs.ours) - resampler.draws("b", pairs.theirs)
    assert measure(pairs, balanced=False).variance == pytest.approx(draws.var(), rel=0.1)


def test_a_rare_class_counts_as_much_as_another_in_balanced_accuracy() -> None:
    labels = np.array([0] * 90 + [1] * 10, np.int8)
    theirs = labels == 0
    ours = ~theirs
    pairs = Pairs(labels, ours[None], theirs[None], np.ones((1, 100), bool))
    assert measure(pairs, balanced=False).seeds == pytest.approx((-0.8,))
    assert measure(pairs, balanced=True).seeds == pytest.approx((0.0,))


def test_all_rows_together_tell_how_much_seeds_vary() -> None:
    rows = [Measured((0.01 + d, 0.01 - d), 0.0) for d in (0.0, 0.01, 0.02)]
    found = gains(rows)
    half = 3.182 * ((2 * (0.01**2 + 0.02**2)) / 3 / 2) ** 0.5  # three degrees of freedom
    assert [each.high - each.value for each in found] == pytest.approx([half] * 3, rel=1e-3)


def test_one_seed_tells_no_interval() -> None:
    [gain] = gains([Measured((0.05,), 1e-6)])
    assert np.isnan(gain.low)
    assert gain.decision is Decision.OPEN


@pytest.mark.parametrize(
    ("low", "high", "decision"),
    [
        (0.001, 0.02, Decision.KEPT),
        (-0.02, 0.004, Decision.NOT_KEPT),
        (-0.02, -0.01, Decision.NOT_KEPT),
        (-0.001, 0.02, Decision.OPEN),
    ],
)
def test_the_rule(low: float, high: float, decision: Decision) -> None:
    assert Gain((low + high) / 2, low, high, 2).decision is decision


@pytest.fixture
def folder(tmp_path: Path, maker: SimpleNamespace) -> Path:
    """The base and three others with two seeds each, each on 200 images."""
    counts = {"": 350, "-mixup": 400, "-class-weights": 345, "-distillation": 380}
    for seed in (0, 1):
        for name, count in counts.items():
            mask = maker.right(count + 4 * seed, 7 * seed)
            overrides = ["training.images=200"]
            run = maker.run(tmp_path, f"ablation{name}", mask, seed, overrides=overrides)
            maker.predictions(maker.right(count + 14)).save(
                run / "predictions" / "validation-flip.parquet"
            )
    return tmp_path


def _ablations(folder: Path) -> Ablations:
    found = gather(folder).ablations
    assert found is not None
    return found


def _row(found: Ablations, name: str) -> Row:
    return next(row for row in found.rows if row.experiment.recipe == f"ablation-{name}")


def test_what_rows_and_views_are_judged_by(folder: Path) -> None:
    found = _ablations(folder)
    distilled = _row(found, "distillation")
    assert distilled.held_out is None, "its teacher may have learned from them"
    assert distilled.gain is not None
    assert distilled.decisive is distilled.gain.accuracy
    assert distilled.decisive.value == pytest.approx(30 / 700)
    weighted = _row(found, "class-weights")
    assert weighted.held_out_gain is not None
    assert weighted.decisive is weighted.held_out_gain.balanced
    [view] = found.views
    assert view.runs == 8
    assert view.gain.accuracy.value == pytest.approx(12 / 700)  # 14 more, and 4 fewer with seed 1
    assert view.gain.accuracy.decision is Decision.KEPT


def test_only_images_that_were_not_learned_from_measure(
    folder: Path, maker: SimpleNamespace
) -> None:
    for seed in (0, 1):
        # Right on those that it learned from alone.
        recipe = load("ablation-mixup", ["training.images=200", f"training.seed={seed}"])
        every = maker.predictions(maker.right(0), prefix="r")
        mask = np.zeros(maker.images, bool)
        mask[training_places(every.names, every.labels, recipe)] = True
        assert mask.sum() == 200
        path = folder / f"ablation-mixup-seed{seed}" / "predictions" / "train.parquet"
        maker.predictions(mask, prefix="r").save(path)
    found = _ablations(folder)
    assert found.held_out == 500
    row = _row(found, "mixup")
    assert row.held_out is not None
    assert row.held_out.accuracy.value == 0
    assert row.level.accuracy.value == pytest.approx(402 / 700)
    assert row.decisive is not None
    assert row.decisive.value < -0.4


def test_runs_that_learned_from_all_images_are_measured_on_the_split_alone(
    folder: Path, maker: SimpleNamespace
) -> None:
    few = maker.predictions(maker.right(0), prefix="r")
    few = take(few, np.arange(len(few)) < 150)
    for seed in (0, 1):
        few.save(folder / f"ablation-mixup-seed{seed}" / "predictions" / "train.parquet")
    row = _row(_ablations(folder), "mixup")
    assert row.held_out is None
    assert row.decisive is not None
    assert row.decisive.value == pytest.approx(50 / 700)


def test_only_seeds_that_both_have_are_compared(folder: Path, maker: SimpleNamespace) -> None:
    maker.run(folder, "ablation-mixup", maker.right(10), 2, overrides=["training.images=200"])
    row = _row(_ablations(folder), "mixup")
    assert row.seeds == (0, 1, 2)
    assert row.gain is not None
    assert row.gain.accuracy.seeds == 2
    assert row.gain.accuracy.value == pytest.approx(50 / 700)


def test_a_report_on_ablations_alone_says_nothing_of_the_paper(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "mixup, alpha 0.2" in printed
    assert "The mask helps" not in printed
    for text in ((folder / name).read_text() for name in ("report.md", "report.html")):
        assert "ways to train" in text
        assert "claims" not in text
        assert "+7.14" in text
        assert "No run that counts: label smoothing 0.1" in text


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ("ablation-votes", "needs data with the votes of FER+"),
        ("ablation-distillation", "needs the file teacher.parquet"),
    ],
)
def test_what_cannot_be_trained_here_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = cache.from_arrays(
        images=np.zeros((7, 8, 8), np.uint8),
        labels=np.arange(7).astype(np.int8),
        splits=np.zeros(7, np.uint8),
        names=np.array(list("abcdefg")),
        split_names=cache.SPLITS,
    )
    [task] = tasks_of(select((recipe,)), [0], (), tmp_path)
    look(task, dataset)
    assert (task.state, task.reason) == (State.SKIPPED, reason)
    (tmp_path / "teacher.parquet").touch()
    look(task, dataset)
    assert task.state is (State.TRAIN if recipe == "ablation-distillation" else State.SKIPPED)
