"""The example in JavaScript gives the probabilities of Python: in Node, and in a real Chromium.

npm fetches onnxruntime-web into the user's cache, once; where it cannot, the tests are skipped.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien import SAMPLE
from mien.emotions import EMOTIONS
from mien.files import atomic_directory, sha256
from mien.images.preprocessing import resize
from mien.recognition.bundled import bundled_models
from mien.recognition.classifier import OnnxClassifier
from mien.weights import catalog

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

onnx = pytest.importorskip("onnx")
EXAMPLE = Path(__file__).parents[2] / "examples" / "javascript"
Pixels = NDArray[np.uint8]
# How npm says that it reaches nothing; everything else that it complains of is a defect.
OFFLINE = (
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH"),
    *("EHOSTUNREACH", "ERR_SOCKET_TIMEOUT", "ENOTCACHED"),
)

resized = pytest.mark.parametrize(
    ("width", "height"),
    [(96, 96), (192, 240), (131, 77), (300, 257), (24, 24), (30, 120), (47, 49)],
)


def installed() -> Path:
    """Return a folder of the user's cache with the package of the example, installed if need be."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs node and npm")
    wanted = EXAMPLE / "package.json"
    ready = catalog.folder().parent / "tests" / f"javascript-{sha256(wanted)[:16]}"
    if ready.is_dir():
        return ready
    ready.parent.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
    with atomic_directory(ready) as folder:
        shutil.copy(wanted, folder)
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not fetch onnxruntime-web within 5 minutes")
        if done.returncode and any(code in done.stderr for code in OFFLINE):
            pytest.skip("npm cannot fetch onnxruntime-web from here")
        assert done.returncode == 0, done.stderr
    return ready


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its package beside it, and the bundled model."""
    package = installed() / "node_modules"
    folder = tmp_path_factory.mktemp("javascript") / "example"
    ignored = shutil.ignore_patterns("node_modules", "package-lock.json", "model.onnx")
    shutil.copytree(EXAMPLE, folder, ignore=ignored)
    (folder / "node_modules").symlink_to(package, target_is_directory=True)
    shutil.copy(bundled_models()["small"], folder / "model.onnx")
    return folder


def node(example: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["node", *map(str, arguments)]
    return subprocess.run(command, cwd=example, capture_output=True, text=True, timeout=300)


# Answers each line of standard input, as starting Node and WebAssembly takes a second.
WORKER = """
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Classifier } from "./mien.js";
import { resize } from "./preprocessing.js";

const image = (face) => ({ ...face, data: new Uint8Array(readFileSync(face.file)) });
const tasks = {
  async classify({ model, faces }) {
    const classifier = await Classifier.open(new Uint8Array(readFileSync(model)));
    const scores = [];
    for (const face of faces) scores.push([...(await classifier.probabilities(image(face)))]);
    return { labels: classifier.labels, scores };
  },
  resize({ face, channels, size }) {
    const { data, width, height } = image(face);
    return [...resize(data, width, height, channels, size)];
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const { task, ...values } = JSON.parse(line);
  console.log(JSON.stringify(await tasks[task](values)));
}
"""


class Worker:
    """The example's modules in one process of Node."""

    def __init__(self, example: Path) -> None:
        (example / "worker.js").write_text(WORKER)
        self.example = example
        self.process = subprocess.Popen(
            ["node", "worker.js"],
            cwd=example,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(example / "worker.log").open("w"),
            text=True,
        )

    def ask(self, task: str, **values: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        late = threading.Timer(120, self.process.kill)
        late.start()
        try:
            self.process.stdin.write(json.dumps({"task": task, **values}) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        finally:
            late.cancel()
        assert answer, (self.example / "worker.log").read_text() or "no answer in 2 minutes"
        return json.loads(answer)

    def face(self, pixels: Pixels, name: str = "face") -> dict[str, object]:
        file = self.example / f"{name}.raw"
        file.write_bytes(pixels.tobytes())
        return {"file": str(file), "width": pixels.shape[1], "height": pixels.shape[0]}


@pytest.fixture(scope="module")
def worker(example: Path) -> Iterator[Worker]:
    worker = Worker(example)
    yield worker
    worker.process.kill()
    worker.process.communicate()


def portrait() -> Image.Image:
    with Image.open(SAMPLE) as picture:
        return picture.convert("RGB").crop((150, 50, 300, 200))


def classify(worker: Worker, model: Path, faces: list[Pixels]) -> NDArray[np.float64]:
    """Return what the example says to faces: N×7, in the order of `EMOTIONS`."""
    given = [worker.face(face, f"face{number}") for number, face in enumerate(faces)]
    answer = worker.ask("classify", model=str(model), faces=given)
    order = [answer["labels"].index(emotion) for emotion in EMOTIONS]
    return np.array(answer["scores"])[:, order]


def in_python(model: Path, faces: list[Pixels]) -> NDArray[np.float32]:
    classifier = OnnxClassifier(model)
    order = [classifier.labels.index(emotion) for emotion in EMOTIONS]
    return classifier.probabilities(classifier.preprocessing(faces))[:, order]


def some_faces(side: int = 48) -> list[Pixels]:
    random = np.random.default_rng(side)
    photo = portrait().resize((side, side))
    return [
        np.asarray(photo),
        np.asarray(photo.convert("L")),
        *random.integers(0, 256, (2, side, side, 3), np.uint8),
        random.integers(0, 256, (side, side), np.uint8),
    ]


def test_the_same_probabilities_in_node(example: Path) -> None:
    faces = some_faces()
    expected = in_python(example / "model.onnx", faces)
    assert np.ptp(expected, axis=0).max() > 0.2
    files = []
    for number, face in enumerate(faces):
        files.append(example / f"face{number}.{'pgm' if face.ndim == 2 else 'ppm'}")
        Image.fromarray(face).save(files[-1])
    done = node(example, "classify.js", "model.onnx", *files)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["file"] for answer in answers] == [str(file) for file in files]
    found = [[answer["emotions"][emotion] for emotion in EMOTIONS] for answer in answers]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_same_probabilities_of_resized_faces(worker: Worker) -> None:
    faces = [face for side in (24, 61, 200) for face in some_faces(side)]
    model = worker.example / "model.onnx"
    found = classify(worker, model, faces)
    # A gray level here and there is rounded the other way.
    np.testing.assert_allclose(found, in_python(model, faces), atol=5e-3)


@resized
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_that_of_preprocessing(
    worker: Worker, width: int, height: int, channels: int
) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, channels), np.uint8)
    answer = worker.ask("resize", face=worker.face(pixels), channels=channels, size=48)
    found = np.array(answer).reshape(48, 48, channels)
    difference = np.abs(found - resize(pixels[None], 48)[0])
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.05


def tiny_model(path: Path, color: bool, filter: Mapping[str, Any] | None = None) -> Path:
    """Write a network of one random convolution, with the metadata of an exported model."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(1)
    weights = {
        "kernel": random.normal(size=(8, 3 if color else 1, 3, 3)) / 255,
        "last": random.normal(size=(72, 7)) / 8,
    }
    constants = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    constants.append(numpy_helper.from_array(np.array([0, 48, 48, 3 if color else 1]), "shape"))
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["float", "shape"], ["colors"]),
        helper.make_node("Transpose", ["colors"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["edges"], strides=[16, 16]),
        helper.make_node("Relu", ["edges"], ["positive"]),
        helper.make_node("Flatten", ["positive"], ["rows"]),
        helper.make_node("MatMul", ["rows", "last"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    shape = ["N", 48, 48, *([3] if color else [])]
    inputs = [helper.make_tensor_value_info("images", TensorProto.UINT8, shape)]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 7])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    metadata = {
        "format": "1",
        "provenance": "{}",
        # Another order than ours, as an ensemble's members may have.
        "labels": json.dumps(EMOTIONS[::-1]),
        "preprocessing": json.dumps({"size": 48, "color": color, "filter": filter}),
    }
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = f"mien.{key}", value
    onnx.save(model, path)
    return path


def test_models_of_color_and_other_orders(worker: Worker, tmp_path: Path) -> None:
    model, faces = tiny_model(tmp_path / "color.onnx", color=True), some_faces()
    expected = in_python(model, faces)
    assert np.ptp(expected, axis=0).max() > 0.2
    np.testing.assert_allclose(classify(worker, model, faces), expected, atol=1e-5)


def test_models_in_int8(worker: Worker, tmp_path: Path) -> None:
    from mien.export.onnx import set_metadata
    from mien.export.reducing import to_int8

    path, faces = tiny_model(tmp_path / "color.onnx", color=True), some_faces()
    random = np.random.default_rng(2)
    model = onnx.load(path)
    small = to_int8(model, random.integers(0, 256, (32, 48, 48, 3), np.uint8))
    assert "QuantizeLinear" in {node.op_type for node in small.graph.node}
    set_metadata(small, {entry.key: entry.value for entry in model.metadata_props})
    onnx.save(small, tmp_path / "int8.onnx")
    expected = in_python(tmp_path / "int8.onnx", faces)
    assert np.ptp(expected, axis=0).max() > 0.2
    assert np.abs(expected - in_python(path, faces)).max() > 1e-4
    found = classify(worker, tmp_path / "int8.onnx", faces)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(("crops", "filtered"), [("gray", True), ("rgb", False)])
def test_models_that_do_the_preprocessing(
    worker: Worker, tmp_path: Path, crops: Any, filtered: bool
) -> None:
    from mien.export.forms import Form, write

    filter = {"name": "unsharp_mask", "place": "before_resize"} if filtered else None
    path = tiny_model(tmp_path / "plain.onnx", color=False, filter=filter)
    write(path, tmp_path / "crops.onnx", Form(crops=crops))
    faces = [face for side in (30, 48, 131) for face in some_faces(side)]
    found = classify(worker, tmp_path / "crops.onnx", faces)
    np.testing.assert_allclose(found, in_python(path, faces), atol=5e-3)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no model", "no ONNX model"),
        (b"", "no model of mien"),
        ("filter", "wants the filter unsharp_mask: export it with --crops"),
    ],
)
def test_what_it_cannot_do_is_refused(
    example: Path, tmp_path: Path, content: bytes | str, complaint: str
) -> None:
    path = tmp_path / "model.onnx"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        tiny_model(path, color=False, filter={"name": "unsharp_mask"})
    Image.new("L", (48, 48)).save(tmp_path / "face.pgm")
    done = node(example, "classify.js", path, tmp_path / "face.pgm")
    assert done.returncode != 0
    assert complaint in done.stderr
    assert done.stdout == ""


@pytest.fixture(scope="module")
def url(example: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=example)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium, which is a package of the system")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, url: str) -> Iterator[Callable[..., Page]]:
    with contextlib.closing(browser.new_context(viewport={"width": 800, "height": 900})) as context:

        def open_it(*, without: str | None = None) -> Page:
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.on("pageerror", lambda error: pytest.fail(str(error)))
            if without:
                page.route(f"**/{without}", lambda route: route.fulfill(status=404))
            page.goto(url)
            return page

        yield open_it


def bars(page: Page) -> NDArray[np.float64]:
    """Return the probabilities that the page shows, in the order of `EMOTIONS`."""
    values = {
        bar.get_attribute("aria-label"): float(bar.get_attribute("value") or "nan")
        for bar in page.locator("meter").all()
    }
    assert values.keys() == set(EMOTIONS)
    return np.array([values[emotion] for emotion in EMOTIONS])


def test_the_page_in_chromium(open_page: Callable[..., Page], example: Path) -> None:
    photo = portrait().resize((300, 300))
    photo.save(example / "photo.png")
    pixels = np.asarray(photo)
    page = open_page()
    page.get_by_text("Pick a photo").wait_for()
    page.locator("input").set_input_files(example / "photo.png")
    page.get_by_text("Most likely: happy").wait_for()
    (whole,) = in_python(example / "model.onnx", [pixels])
    np.testing.assert_allclose(bars(page), whole, atol=1e-3)

    box = page.locator("canvas").bounding_box()
    assert box is not None
    scale = 300 / box["width"]
    page.mouse.move(box["x"] + 50 / scale, box["y"] + 80 / scale)
    page.mouse.down()
    page.mouse.move(box["x"] + 170 / scale, box["y"] + 100 / scale, steps=3)
    before = page.locator("ul").inner_html()
    page.mouse.up()
    page.wait_for_function(
        "before => document.querySelector('ul').innerHTML !== before", arg=before
    )
    (part,) = in_python(example / "model.onnx", [pixels[80:200, 50:170]])
    assert np.abs(part - whole).max() > 0.01
    np.testing.assert_allclose(bars(page), part, atol=1e-3)

    page.get_by_role("button", name="Take the whole picture").click()
    page.wait_for_function(
        "value => Math.abs(document.querySelector('meter').value - value) < 1e-3",
        arg=float(whole[0]),
    )
    np.testing.assert_allclose(bars(page), whole, atol=1e-3)


def test_the_page_says_when_there_is_no_model(open_page: Callable[..., Page]) -> None:
    page = open_page(without="model.onnx")
    page.get_by_text("there is no model.onnx beside this page").wait_for()
    assert page.locator("input").is_disabled()
