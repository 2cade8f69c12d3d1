"""The page in a real browser: alone, narrow, dark, printed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mien.experiments.report import gather, write

CHROMIUM = shutil.which("chromium")
# Of each visible text: its color against the nearest background around it, as WCAG 2 counts.
CONTRASTS = """() => {
  const parse = color => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const words = [...element.childNodes].some(n => n.nodeType == 3 && n.textContent.trim());
    if (!words || element.tagName == 'title' || element.closest('svg.matrix')) continue;
    const style = getComputedStyle(element);
    const ink = parse(element.closest('svg') ? style.fill : style.color);
    let around = element, back = null;
    while (around && !back) {
      const color = parse(getComputedStyle(around).backgroundColor);
      if (color.length == 3 || color[3] > 0) back = color;
      around = around.parentElement;
    }
    const [low, high] = [luminance(ink), luminance(back)].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium (the program chromium), which is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # The sandbox needs rights that containers lack; the page is our own.
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def address(full: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    page, _ = write(gather(full), tmp_path_factory.mktemp("page"))
    return page.as_uri()


def test_it_asks_for_nothing_and_complains_of_nothing(browser: Any, address: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    assert page.title().startswith("Facial expressions")
    assert [each for each in asked if each != address and not each.startswith("data:")] == []
    assert said == []


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_width_scrolls_sideways(browser: Any, address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(browser: Any, address: str, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    found = page.evaluate(CONTRASTS)
    assert len(found) > 300
    assert [each for each in found if each[0] < 4.5] == []


def test_light_and_dark_differ(browser: Any, address: str) -> None:
    backgrounds = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(address)
        backgrounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds[0] != backgrounds[1]


def test_it_prints_in_light_though_the_screen_is_dark(browser: Any, address: str) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(address)
    assert page.pdf(format="A4", print_background=True).startswith(b"%PDF")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    found = page.evaluate(CONTRASTS)
    assert [each for each in found if each[0] < 4.5] == []


def test_texts_of_a_chart_stay_inside_and_apart(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(address)
    crossed = page.evaluate(
        """() => [...document.querySelectorAll('svg.wide')].flatMap(chart => {
          const boxes = [...chart.querySelectorAll('text.label, text.figure')]
            .map(t => [t.textContent, t.getBoundingClientRect()]);
          return boxes.flatMap(([one, a], i) => boxes.slice(i + 1)
            .filter(([, b]) => a.left < b.right && b.left < a.right
                            && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
            .map(([other]) => [one, other]));
        })"""
    )
    assert crossed == []
