"""The page in a real Chromium: a photo, the webcam, an error, a narrow screen, the keyboard."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from PIL import Image

from mien.emotions import EMOTIONS
from mien.recognition.bundled import SAMPLE
from mien.recognition.classifier import OnnxClassifier
from mien.recognition.recognizer import Recognizer

pytest.importorskip("playwright")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, LocatorAssertions, Page

TOKEN = "a-token-for-the-tests"
# Set it to a folder to look at what the tests saw.
SHOTS = os.environ.get("MIEN_TEST_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium, which is a package of the system")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--use-fake-device-for-media-stream"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(start_server) -> str:  # type: ignore[no-untyped-def]
    return str(start_server("--max-upload", "1").url)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(permissions=["camera"], viewport={"width": 1200, "height": 800})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, url: str) -> Page:
    return _open(context, url)


def _expect(locator: Locator) -> LocatorAssertions:
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)  # for machines that do something else as well
    return expect(locator)


def _open(context: BrowserContext, url: str) -> Page:
    """Open the page and let any error of its scripts, its policy or its files fail the test."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.on("console", lambda m: pytest.fail(m.text) if "Security Policy" in m.text else None)
    elsewhere: list[str] = []
    page.on("request", lambda r: elsewhere.append(r.url))
    page.goto(url)
    assert all(asked.startswith((url.split("#")[0], "blob:")) for asked in elsewhere), elsewhere
    return page


def _shot(page: Page, name: str) -> None:
    if SHOTS:
        page.wait_for_timeout(400)
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def _percent(space: str = " ") -> str:
    """How sure the bundled model is of the sample's face, as the page writes it."""
    (face,) = Recognizer(detector="haar").analyze(SAMPLE).faces
    return f"{round(100 * face.confidence)}{space}%"


def test_a_photo_gets_boxes_and_seven_bars_for_each_face(page: Page) -> None:
    _shot(page, "empty")
    page.set_input_files("#file", SAMPLE)
    _expect(page.locator("#status")).to_have_text(f"One face: happy, {_percent()}.")
    assert page.locator("#status").get_attribute("aria-live") == "polite"
    face = page.locator("#faces > li")
    _expect(face).to_have_count(1)
    assert face.locator("dt").all_inner_texts() == list(EMOTIONS)
    assert face.locator("dd").nth(EMOTIONS.index("happy")).inner_text() == _percent("\u00a0")
    _shot(page, "photo")
    # The box lies where it says: at the same part of the shown picture as of the file's 512 pixels.
    picture, box = page.locator("#photo").bounding_box(), page.locator(".box").bounding_box()
    assert picture is not None
    assert box is not None
    assert (box["x"] - picture["x"]) / picture["width"] == pytest.approx(174 / 512, abs=0.01)
    assert (box["y"] - picture["y"]) / picture["height"] == pytest.approx(63 / 512, abs=0.01)
    assert box["width"] / picture["width"] == pytest.approx(102 / 512, abs=0.01)


def test_several_faces_dark(browser: Browser, url: str, photos: Path) -> None:
    context = browser.new_context(color_scheme="dark", viewport={"width": 1200, "height": 800})
    page = _open(context, url)
    page.set_input_files("#file", photos / "2008_001322.jpg")
    _expect(page.locator("#status")).to_contain_text("faces: face 1 ")
    assert page.locator("#boxes .box").count() == page.locator("#faces > li").count() >= 2
    _shot(page, "several-dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 25)"
    context.close()


def test_a_picture_that_was_pasted(page: Page) -> None:
    page.evaluate(
        """async (url) => {
            const blob = await (await fetch(url)).blob();
            const files = new DataTransfer();
            files.items.add(new File([blob], "icon.svg", {type: "image/svg+xml"}));
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: files}));
        }""",
        "page/icon.svg",
    )
    _expect(page.locator("#error")).to_contain_text("Not a format that the server reads")
    _expect(page.locator("#status")).to_have_text("")


def test_the_sample_is_read_and_saved_as_json(page: Page) -> None:
    page.get_by_role("button", name="Try the sample photo").click()
    _expect(page.locator("#status")).to_contain_text("One face: happy")
    _expect(page.get_by_role("img", name="Eileen Collins")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    saved = json.loads(download.value.path().read_text())
    assert saved["model"] == OnnxClassifier().provenance["name"]
    assert [face["emotion"] for face in saved["faces"]] == ["happy"]


def test_a_picture_without_a_face_may_be_taken_as_one(page: Page, tmp_path: Path) -> None:
    noise = tmp_path / "noise.png"
    Image.effect_noise((300, 200), 30).save(noise)
    page.set_input_files("#file", noise)
    _expect(page.locator("#status")).to_have_text("No face was found.")
    _shot(page, "no-face")
    page.get_by_role("button", name="Take all of it as one face").click()
    _expect(page.locator("#status")).to_contain_text("One face")
    _expect(page.locator("#boxes .box")).to_have_attribute("width", "300")


def test_what_is_dropped_is_read_or_refused(page: Page) -> None:
    drop = """async (path) => {
        const data = new DataTransfer();
        if (path) {
            const blob = await (await fetch(path)).blob();
            data.items.add(new File([blob], "dropped.jpg", {type: "image/jpeg"}));
        }
        const options = {dataTransfer: data, bubbles: true};
        document.body.dispatchEvent(new DragEvent("dragover", options));
        const seen = document.body.classList.contains("dragging");
        document.body.dispatchEvent(new DragEvent("drop", options));
        return seen && !document.body.classList.contains("dragging");
    }"""
    assert page.evaluate(drop, "")
    _expect(page.get_by_role("alert")).to_contain_text("That is no file")
    assert page.evaluate(drop, "page/sample.jpg")
    _expect(page.locator("#status")).to_contain_text("One face: happy")
    _expect(page.get_by_role("img", name="Your photo dropped.jpg")).to_be_visible()


def test_no_leave_for_the_webcam(browser: Browser, url: str) -> None:
    context = browser.new_context()
    page = _open(context, url)
    page.get_by_role("button", name="Use the webcam").click()
    _expect(page.get_by_role("alert")).to_contain_text("does not let this page use the webcam")
    _expect(page.get_by_role("button", name="Use the webcam")).to_be_enabled()
    _shot(page, "denied")
    context.close()


def test_a_server_that_is_gone_and_comes_back(
    context: BrowserContext, start_server: Callable[..., Any]
) -> None:
    server = start_server()
    page = _open(context, server.url)
    server.process.terminate()
    server.process.wait(60)
    page.set_input_files("#file", SAMPLE)
    _expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    _shot(page, "gone")
    start_server("--port", server.url.rpartition(":")[2])
    page.get_by_role("button", name="Try again").click()
    _expect(page.locator("#status")).to_contain_text("One face")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_that_axe_checks_is_wrong(
    browser: Browser, url: str, photos: Path, scheme: Literal["light", "dark"]
) -> None:
    """Roles, names, contrast and more, by the rules of WCAG 2.2 AA and axe's own."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(color_scheme=scheme, permissions=["camera"])
    page = _open(context, url)

    def check() -> None:
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()

    check()
    page.set_input_files("#file", photos / "2008_001322.jpg")
    _expect(page.locator("#status")).to_contain_text("faces: face 1 ")
    page.wait_for_timeout(300)  # until the bars have grown
    check()
    page.set_input_files("#file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"words"})
    _expect(page.get_by_role("alert")).to_be_visible()
    check()
    page.get_by_role("button", name="Use the webcam").click()
    _expect(page.locator("#status")).to_have_text("No face was found.")
    check()
    context.close()


def test_a_screen_reader_is_told_the_faces(page: Page) -> None:
    page.set_input_files("#file", SAMPLE)
    _expect(page.locator("#results")).to_match_aria_snapshot(
        f"""
        - region "Faces":
          - heading "Faces" [level=2]
          - button "Save as JSON"
          - list:
            - listitem:
              - heading "Face 1 happy {_percent()}" [level=3]
              - term: angry
              - definition: 1 %
        """
    )


def test_errors_are_told_and_go_away(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(SAMPLE.read_bytes() + bytes(1_500_000))
    page.set_input_files("#file", large)
    error = page.get_by_role("alert")
    _expect(error).to_contain_text("a request may have 1 MB; this one has 1.6 MB")
    _shot(page, "error")
    page.set_input_files("#file", SAMPLE)
    _expect(page.locator("#status")).to_contain_text("One face")
    _expect(page.locator("#error")).to_be_hidden()


def test_the_webcam_runs_and_stops(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Use the webcam").click()
    stop = page.get_by_role("button", name="Stop the webcam")
    _expect(stop).to_have_attribute("aria-pressed", "true")
    # Chromium's fake camera shows a green disc, in which there is no face.
    _expect(page.locator("#status")).to_have_text("No face was found.")
    _expect(page.locator("#video")).to_be_visible()
    _shot(page, "webcam")
    _expect(page.locator("#boxes")).to_have_attribute("viewBox", "0 0 640 480")
    with page.expect_request("**/v1/analyze"):
        pass  # one frame after the other
    stop.click()
    _expect(page.locator("#video")).to_be_hidden()
    page.wait_for_timeout(200)
    after = len(asked)
    page.wait_for_timeout(500)
    assert len(asked) == after


@pytest.fixture
def phone(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True
    )
    yield context
    context.close()


def test_nothing_is_cut_off_on_a_narrow_screen(
    phone: BrowserContext, url: str, photos: Path
) -> None:
    page = _open(phone, url)
    _shot(page, "narrow-empty")
    page.set_input_files("#file", photos / "2008_001322.jpg")
    _expect(page.locator("#status")).to_contain_text("faces: face 1")
    _shot(page, "narrow")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    for control in ("#choose", "#camera"):
        box = page.locator(control).bounding_box()
        assert box is not None
        assert box["height"] >= 44


def test_the_keyboard_reaches_everything(page: Page) -> None:
    # Playwright looks out for choosers a moment after it is told to, so it is told early.
    page.on("filechooser", lambda chooser: None)
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.href"))
    assert reached[:3] == ["choose", "camera", "sample"]
    assert reached[3].endswith("/openapi.json")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    _shot(page, "focus")
    outline = "getComputedStyle(document.getElementById('choose')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    with page.expect_file_chooser():
        page.keyboard.press("Enter")


def test_a_token_is_asked_for_and_taken_from_the_address(
    browser: Browser, start_server: Callable[..., object]
) -> None:
    server = start_server(MIEN_TOKEN=TOKEN)
    url = server.url  # type: ignore[attr-defined]
    context = browser.new_context()
    page = _open(context, url)
    page.set_input_files("#file", SAMPLE)
    _expect(page.locator("#error")).to_contain_text("Type in the token")
    _shot(page, "token")
    page.get_by_label("This server demands a token").fill(TOKEN)
    page.keyboard.press("Enter")
    _expect(page.locator("#status")).to_contain_text("One face")
    context.close()
    context = browser.new_context()
    page = _open(context, f"{url}/#token={TOKEN}")
    page.set_input_files("#file", SAMPLE)
    _expect(page.locator("#status")).to_contain_text("One face")
    assert TOKEN not in page.url
    context.close()
