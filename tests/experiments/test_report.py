"""The report's figures, from run folders whose figures are known."""

from __future__ import annotations

import itertools
import json
import shutil
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mien.errors import MienError
from mien.evaluation.compare import compare
from mien.evaluation.metrics import wilson_interval
from mien.evaluation.predictions import Predictions
from mien.experiments.plan import EXPERIMENTS
from mien.experiments.report import gather, resampling
from mien.experiments.report.figures import Report, Result
from mien.experiments.report.resampling import Resampler


def _result(report: Report, recipe: str) -> Result:
    return next(each for each in report.results if each.experiment.recipe == recipe)


def test_accuracies_are_means_of_the_seeds(tmp_path: Path, maker: SimpleNamespace) -> None:
    for seed, count in enumerate((350, 364, 357)):
        maker.run(tmp_path, "foldnet-micro", maker.right(count), seed)
    found = _result(gather(tmp_path), "foldnet-micro")
    assert found.accuracy is not None
    assert found.accuracy.total.value == pytest.approx(357 / 700)
    assert found.accuracy.spread == pytest.approx(0.01)  # 350, 357 and 364 of 700
    assert (found.accuracy.total.images, found.accuracy.total.seeds) == (700, 3)
    assert found.accuracy.confusion.sum() == 3 * 700
    assert found.seeds == (0, 1, 2)
    # 100 images of each emotion; the first 350 are 50 of each.
    assert found.accuracy.recalls[2].value == pytest.approx(0.51, abs=0.005)


def test_all_experiments_are_there_run_or_not(tmp_path: Path, maker: SimpleNamespace) -> None:
    maker.run(tmp_path, "foldnet-micro", maker.right(350))
    report = gather(tmp_path)
    assert [each.experiment for each in report.results] == list(EXPERIMENTS)
    assert _result(report, "vgg16").status == "not run"


def test_a_share_s_interval_is_at_least_wilson_s(tmp_path: Path, maker: SimpleNamespace) -> None:
    maker.run(tmp_path, "foldnet-micro", maker.right(0))
    total = _result(gather(tmp_path), "foldnet-micro").accuracy
    assert total is not None
    assert (total.total.low, total.total.high) == pytest.approx(wilson_interval(0, 700))


def test_one_seed_s_difference_is_the_paired_bootstrap(maker: SimpleNamespace) -> None:
    labels = maker.predictions(maker.right(0)).labels
    one, other = maker.right(400), maker.right(380, 60)
    ours = Resampler(labels).difference(("a", "b"), (one[None], other[None]))
    theirs = compare(maker.predictions(one), maker.predictions(other))
    assert ours.value == pytest.approx(theirs.gain)
    assert (ours.low, ours.high) == pytest.approx(theirs.interval, abs=0.004)


def test_the_spread_between_seeds_widens_the_interval(maker: SimpleNamespace) -> None:
    labels = maker.predictions(maker.right(0)).labels
    resampler = Resampler(labels)
    seeds = np.stack([maker.right(count) for count in (300, 340, 380)])
    draws = resampler.draws("network", seeds)
    images = resampler.draws("network", seeds[1:2]).var()
    between = seeds.mean(axis=1).var(ddof=1) / 3
    # The variance of a mean of three seeds is what is between them by three, and the images'.
    assert draws.var() == pytest.approx(between + images, rel=0.15)
    assert draws.mean() == pytest.approx(340 / 700, abs=0.005)


def test_samples_are_drawn_in_blocks_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = 5000
    labels = (np.arange(images) % 7).astype(np.int8)
    seeds = np.random.default_rng(0).random((2, images)) < 0.6
    tracemalloc.start()
    try:
        resampler = Resampler(labels)
        whole, recall = resampler.draws("a", seeds), resampler.draws("a", seeds, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # 2000×5000 counts: a byte each, and not 8 or 12.
    assert peak < 30e6
    monkeypatch.setattr(resampling, "_BLOCK", 2000)
    at_once = Resampler(labels)
    np.testing.assert_array_equal(at_once.draws("a", seeds), whole)
    np.testing.assert_array_equal(at_once.draws("a", seeds, 3), recall)


def test_a_difference_that_never_varies_has_no_interval(maker: SimpleNamespace) -> None:
    labels = maker.predictions(maker.right(0)).labels
    same = (maker.right(200)[None], maker.right(200)[None])
    found = Resampler(labels).difference(("a", "b"), same)
    assert found.value == 0
    assert np.isnan(found.low)


def test_what_differs_from_the_recipe_is_listed_key_for_key(
    tmp_path: Path, maker: SimpleNamespace
) -> None:
    overrides = ["training.epochs=2", "training.images=2000", "input.filter.options.percent=99"]
    maker.run(tmp_path, "foldnet-micro-unsharp", maker.right(350), 7, overrides=overrides)
    found = _result(gather(tmp_path), "foldnet-micro-unsharp").changes
    assert {(each.key, each.package, each.run) for each in found} == {
        ("training.epochs", "4", "2"),
        ("training.images", "0", "2000"),
        ("input.filter.options.percent", "–", "99.0"),
    }


def test_runs_at_another_scale_are_not_compared(tmp_path: Path, maker: SimpleNamespace) -> None:
    maker.run(tmp_path, "foldnet-micro", maker.right(350))
    maker.run(tmp_path, "foldnet-micro-clahe", maker.right(300), overrides=["training.epochs=3"])
    found = _result(gather(tmp_path), "foldnet-micro-clahe")
    assert found.difference is None
    assert found.incomparable.endswith("in training.epochs")


def test_runs_at_the_same_smaller_scale_are_compared(
    tmp_path: Path, maker: SimpleNamespace
) -> None:
    for recipe, count in (("foldnet-micro", 350), ("foldnet-micro-clahe", 315)):
        maker.run(tmp_path, recipe, maker.right(count), overrides=["training.epochs=3"])
    difference = _result(gather(tmp_path), "foldnet-micro-clahe").difference
    assert difference is not None
    assert difference.total.value == pytest.approx(-0.05)
    assert [each.value for each in difference.recalls] == pytest.approx([-0.05] * 7)


def test_one_recipe_in_two_forms_counts_in_that_of_the_package(
    tmp_path: Path, maker: SimpleNamespace
) -> None:
    for seed in (1, 2):
        overrides = ["training.epochs=1"]
        maker.run(tmp_path, "foldnet-micro", maker.right(100), seed, overrides=overrides)
    maker.run(tmp_path, "foldnet-micro", maker.right(350), 0)
    report = gather(tmp_path)
    assert _result(report, "foldnet-micro").seeds == (0,)
    assert [each.run.name for each in report.others] == [
        "foldnet-micro-seed1",
        "foldnet-micro-seed2",
    ]


def test_what_is_damaged_or_unfinished_is_listed(tmp_path: Path, maker: SimpleNamespace) -> None:
    maker.run(tmp_path, "foldnet-micro", maker.right(350))
    late = maker.run(tmp_path, "foldnet-micro-clahe", maker.right(9), epochs=[("1", 0.1, 0.1)])
    (maker.run(tmp_path, "cnn5", maker.right(9)) / "recipe.toml").write_text("model = [")
    (maker.run(tmp_path, "vgg16", maker.right(9)) / "run.json").write_text("{")
    (maker.run(tmp_path, "facenet", maker.right(9)) / "history.csv").write_bytes(b"\xff\xfe\x00")
    shutil.rmtree(maker.run(tmp_path, "resnet50", maker.right(9)) / "predictions")
    file = maker.run(tmp_path, "senet50", maker.right(9)) / "predictions" / "validation.parquet"
    file.write_bytes(b"PAR1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "half-seed0").mkdir()
    (tmp_path / "half-seed0" / "run.json").write_text("{}")
    report = gather(tmp_path)
    why = {run.name: why for run, why in report.broken}
    assert why[late.name] == "its training is not finished (1 epoch done)"
    assert "recipe.toml" in why["cnn5-seed0"]
    assert "run.json" in why["vgg16-seed0"]
    assert "history.csv" in why["facenet-seed0"]
    assert why["resnet50-seed0"] == "it has no predictions for validation"
    assert "senet50-seed0/predictions/validation.parquet" in why["senet50-seed0"]
    assert "no recipe.toml" in why["half-seed0"]
    assert len(why) == 7
    assert "not finished" in _result(report, "foldnet-micro-clahe").status
    assert report.head.runs == 1


def test_runs_of_other_images_or_labels_are_left_out(
    tmp_path: Path, maker: SimpleNamespace
) -> None:
    for seed in (0, 1):
        maker.run(tmp_path, "foldnet-micro", maker.right(350), seed)
    other = maker.run(tmp_path, "foldnet-micro-clahe", maker.right(350))
    maker.predictions(maker.right(9), prefix="x").save(other / "predictions/validation.parquet")
    wrong = maker.run(tmp_path, "foldnet-micro-unsharp", maker.right(350))
    made = maker.predictions(maker.right(9))
    turned = Predictions(made.names, made.labels[::-1].copy(), made.probabilities)
    turned.save(wrong / "predictions" / "validation.parquet")
    why = {run.name: why for run, why in gather(tmp_path).broken}
    assert "not of the images" in why[other.name]
    assert "contradict" in why[wrong.name]


def test_other_runs_stand_apart_with_their_figures(tmp_path: Path, maker: SimpleNamespace) -> None:
    maker.run(tmp_path, "foldnet-micro", maker.right(350))
    maker.run(tmp_path, "hog-svm", maker.right(210))
    mixed = maker.run(tmp_path, "foldnet-micro", maker.right(420), 1)
    info = json.loads((mixed / "run.json").read_text())
    info["data"]["sources"] = ["fer2013", "other"]
    (mixed / "run.json").write_text(json.dumps(info))
    report = gather(tmp_path)
    others = {each.run.recipe_name: each for each in report.others}
    svm, sources = others["hog-svm"], others["foldnet-micro"]
    assert svm.accuracy is not None
    assert svm.accuracy.total.value == pytest.approx(0.3)
    assert sources.why == "it was trained on several sources of data"
    assert _result(report, "foldnet-micro").seeds == (0,)
    costs = {each.title: each for each in report.costs}
    assert costs["hog-svm-seed0"].parameters is None
    assert costs["FoldNet-micro, augmentation, no filter"].seconds == 4 * 30


def test_test_figures_only_where_test_has_labels(tmp_path: Path, maker: SimpleNamespace) -> None:
    maker.run(tmp_path / "blind", "foldnet-micro", maker.right(350))
    maker.run(tmp_path / "known", "foldnet-micro", maker.right(350), test_labels=True)
    blind, known = gather(tmp_path / "blind"), gather(tmp_path / "known")
    assert not blind.test_labels
    assert blind.classes.counts["test"] is None
    assert blind.classes.images["test"] == 700
    assert known.classes.counts["test"] == (100,) * 7
    found = _result(known, "foldnet-micro").test
    assert found is not None
    assert found.value == 0.5


def test_every_subset_is_in_the_ensemble(tmp_path: Path, maker: SimpleNamespace) -> None:
    recipes = ("foldnet-micro", "foldnet-micro-unsharp", "foldnet-micro-clahe")
    masks = [maker.right(300, start) for start in (0, 100, 200)]
    for recipe, mask in zip(recipes, masks, strict=True):
        maker.run(tmp_path, recipe, mask)
    (ensemble,) = gather(tmp_path).ensembles
    assert len(ensemble.subsets) == 7
    assert ensemble.accuracies == pytest.approx([300 / 700] * 3)
    # Where all are alike certain the majority decides: of three, two must be right.
    two_right = sum(a & b for a, b in itertools.combinations(np.stack(masks).astype(int), 2)) > 0
    assert ensemble.best(3)[0].accuracy == pytest.approx(two_right.mean())
    assert ensemble.disagreement[0, 1] == pytest.approx(200 / 700)
    assert ensemble.chosen_blind <= max(each.accuracy for each in ensemble.subsets)
    assert ensemble.paper_subset is None


def test_overrides_of_reproduce_are_told(tmp_path: Path, maker: SimpleNamespace) -> None:
    maker.run(tmp_path, "foldnet-micro", maker.right(350))
    requests = [{"overrides": ["training.epochs=4"]}, {"overrides": ["training.epochs=4"]}]
    (tmp_path / "reproduce.json").write_text(json.dumps({"requests": requests}))
    assert gather(tmp_path).head.overrides == ("training.epochs=4",)
    (tmp_path / "reproduce.json").write_text("[]")
    assert gather(tmp_path).head.overrides == ()


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="no run folders"):
        gather(tmp_path)
    with pytest.raises(MienError, match="there is no folder"):
        gather(tmp_path / "missing")
