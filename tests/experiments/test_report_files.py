"""The two files of a report, and the command that writes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest

from mien.experiments import text
from mien.experiments.report import gather, render
from mien.experiments.report.charts import palette
from mien.experiments.report.charts.svg import tag, ticks
from mien.experiments.report.figures import Report


@pytest.fixture(scope="module")
def report(full: Path) -> Report:
    return gather(full)


def test_the_command_writes_both_files(
    run_mien: Callable[..., CompletedProcess[str]], full: Path, tmp_path: Path
) -> None:
    done = run_mien("report", full, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "senet50-seed0 does not count" in done.stderr
    assert re.search(r"not enough data +The mask helps", done.stdout)
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "out" / "report.md").read_text().startswith("# Facial expressions")


def test_a_folder_without_runs_is_told_in_a_sentence(
    run_mien: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    done = run_mien("report", tmp_path)
    assert done.returncode == 1
    assert "holds no run folders" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_same_runs_give_the_same_files(full: Path, report: Report) -> None:
    again = gather(full)
    assert render.html(again) == render.html(report)
    assert render.markdown(again) == render.markdown(report)


def test_without_runs_of_the_ablations_there_is_nothing_of_them(report: Report) -> None:
    assert report.ablations is None
    assert 'id="ablations"' not in render.html(report)
    assert "Ways to train" not in render.markdown(report)


def test_the_page_is_alone(report: Report) -> None:
    page = render.html(report)
    assert not re.search(r"<(script|img|iframe|object|video|image)\b", page)
    assert not re.search(r"url\(|@import|src=", page)
    links = re.findall(r'href="([^"#][^"]*)"', page)
    assert set(links) == {"https://doi.org/10.31979/etd.3wrz-53ee", "data:,"}
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))


def test_every_picture_has_a_name_and_every_table_a_caption(report: Report) -> None:
    page = render.html(report)
    pictures = re.findall(r"<svg[^>]*role=\"img\"[^>]*>", page)
    assert len(pictures) > 20
    assert all("aria-label=" in each for each in pictures)
    assert page.count("<table>") == page.count("<caption>")


def test_both_files_say_the_same_figures(report: Report) -> None:
    page, tables = render.html(report), render.markdown(report)
    for shown in ("51.0 ± 1.4", "not run", "training.images", "4,953 is right", "401"[:2]):
        assert (shown in page) == (shown in tables)
    for result in report.results:
        if result.experiment.group == "ablations":
            continue  # listed where one of them was run
        assert result.experiment.title in tables
    for claim in report.claims:
        assert f"### {claim.title}: {claim.verdict}" in tables
    rows = [line for line in tables.splitlines() if line.startswith("|")]
    widths = [line.count("|") for line in rows]
    separators = [number for number, line in enumerate(rows) if set(line) <= set("|-: ")]
    for number in separators:
        end = next((n for n in separators if n > number), len(rows) + 1) - 1
        assert set(widths[number - 1 : end]) == {widths[number]}, rows[number - 1]


def test_names_of_folders_are_no_markup(tmp_path: Path, maker: SimpleNamespace) -> None:
    run = maker.run(tmp_path, "foldnet-micro", maker.right(350))
    run.rename(tmp_path / "<b>bold")
    assert "<b>bold" not in render.html(gather(tmp_path))


def test_figures_as_text() -> None:
    assert text.points(-0.0123) == "−1.2"
    assert text.points(-0.0001) == "0.0"
    assert text.percent(float("nan")) == "–"
    assert (text.percent(0.6234), text.percent(0.6234, 2, "%")) == ("62.3", "62.34%")
    assert text.large(11_075_847) == "11.1 M"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.4, "0 s"),
        (99, "99 s"),
        (150, "2 min 30 s"),
        (720, "12 min"),
        (3599, "1 h 0 min"),
        (12_000, "3 h 20 min"),
        (216_000, "2.5 days"),
    ],
)
def test_durations_as_text(seconds: float | None, words: str) -> None:
    assert text.duration(seconds) == words


def test_axes_have_few_round_ticks() -> None:
    assert ticks(48.3, 57.2) == [50, 52, 54, 56]
    assert ticks(-1.5, 0.7)[0] == pytest.approx(-1.5)
    assert tag("a", "<", b_c='"') == '<a b-c="&#34;">&lt;</a>'


@pytest.mark.parametrize("dark", [False, True])
def test_numbers_in_heat_maps_can_be_read(dark: bool) -> None:
    rules = palette.heat_rules(dark=dark)
    fills = re.findall(r"\.s\d+\{fill:rgb\((\d+),(\d+),(\d+)\)\}\.t\d+\{fill:#(\w{6})\}", rules)
    assert len(fills) == palette.STEPS
    for *back, ink in fills:
        red, green, blue = (int(each) for each in back)
        letters = (int(ink[:2], 16), int(ink[2:4], 16), int(ink[4:], 16))
        assert palette.contrast(letters, (red, green, blue)) >= 4.5
