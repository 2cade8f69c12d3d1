"""`mien predict` and `mien models` as processes."""

from __future__ import annotations

import csv
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.emotions import EMOTIONS
from mien.recognition.bundled import SAMPLE, bundled_models

Run = Callable[..., Any]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder: a face, an empty picture further down, and a file that is no picture."""
    folder = tmp_path / "album"
    (folder / "more").mkdir(parents=True)
    shutil.copy(SAMPLE, folder / "face.jpg")
    Image.new("RGB", (64, 48), "gray").save(folder / "more" / "gray.png")
    (folder / "torn.jpg").write_bytes(SAMPLE.read_bytes()[:20_000])
    return folder


def test_json_csv_and_annotated_pictures(
    run_mien: Run, album: Path, model: Path, tmp_path: Path
) -> None:
    table, drawn = tmp_path / "t" / "faces.csv", tmp_path / "drawn"
    missing = tmp_path / "missing.jpg"
    done = run_mien(
        *("predict", album, missing, "--model", model, "--json"),
        *("--csv", table, "--annotate", drawn),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    pictures = json.loads(done.stdout)
    assert [(Path(p["image"]).name, p["status"]) for p in pictures] == [
        ("face.jpg", "ok"),
        ("gray.png", "no_face"),
        ("torn.jpg", "unreadable"),
        ("missing.jpg", "unreadable"),
    ]
    assert pictures[3]["reason"] == "no such file"
    assert (pictures[0]["width"], pictures[0]["height"]) == (512, 512)
    (face,) = pictures[0]["faces"]
    assert list(face["scores"]) == list(EMOTIONS)
    assert sum(face["scores"].values()) == pytest.approx(1, abs=1e-5)

    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok", "no_face", "unreadable", "unreadable"]
    assert list(rows[0]) == [
        *("image", "status", "face", "x", "y", "width", "height", "detection", "emotion"),
        *("confidence", *EMOTIONS, "verdict", "quality", "reason"),
    ]
    assert [int(rows[0][key]) for key in ("x", "y", "width", "height")] == face["box"]
    assert float(rows[0][face["emotion"]]) == face["confidence"]
    assert (rows[1]["face"], rows[1]["reason"]) == ("", "")
    assert rows[3]["reason"] == "no such file"

    made = sorted(str(path.relative_to(drawn)) for path in drawn.rglob("*") if path.is_file())
    assert made == ["face-faces.png", str(Path("more/gray-faces.png"))]
    assert Image.open(drawn / "face-faces.png").size == (960, 960)


def test_table(run_mien: Run, album: Path, model: Path) -> None:
    done = run_mien("predict", album / "more", album / "face.jpg", "--model", model)
    assert done.returncode == 0
    assert "no face" in done.stdout
    assert str(album / "face.jpg") in done.stdout
    assert "2 pictures, 1 faces; without a face: 1, unreadable: 0" in done.stderr


def test_options_for_faces(run_mien: Run, album: Path, model: Path, tmp_path: Path) -> None:
    photo = album / "face.jpg"
    home = {**os.environ, "MIEN_HOME": str(tmp_path / "home")}

    def predict(*options: object) -> Any:
        return run_mien("predict", photo, "--model", model, *options, env=home)

    plain = predict("--json", "--uncertain-below", 0)
    assert "mien weights fetch yunet" in plain.stderr
    assert json.loads(plain.stdout)[0]["faces"][0]["uncertain"] is False
    sure = predict("--json", "--detector", "haar", "--uncertain-below", 1)
    assert sure.stderr == ""
    assert json.loads(sure.stdout)[0]["faces"][0]["uncertain"] is True
    none = predict("--json", "--detector", "haar", "--min-size", 200)
    assert json.loads(none.stdout)[0]["status"] == "no_face"
    table = predict("--detector", "haar", "--uncertain-below", 1).stdout
    assert "?" in table
    missing = predict("--detector", "yunet")
    assert missing.returncode == 1
    assert "yunet is not on this machine" in missing.stderr
    assert predict("--margin", 9).returncode == 2


def test_crops(run_mien: Run, album: Path, model: Path) -> None:
    done = run_mien(
        "predict", album / "more" / "gray.png", "--no-detect", "--json", "--model", model
    )
    assert done.returncode == 0
    (picture,) = json.loads(done.stdout)
    assert (picture["status"], picture["faces"][0]["box"]) == ("ok", [0, 0, 64, 48])


def test_a_picture_from_standard_input(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mien", "predict", "-", "--model", str(model), "--json"]
    options = ["--no-detect", "--annotate", str(tmp_path / "drawn")]
    for content, status in ((SAMPLE.read_bytes(), "ok"), (b"", "unreadable")):
        done = subprocess.run([*command, *options], input=content, capture_output=True, timeout=300)
        assert done.returncode == (status != "ok"), done.stderr
        (picture,) = json.loads(done.stdout)
        assert (picture["image"], picture["status"]) == ("-", status)
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["stdin-faces.png"]


def test_patterns_lists_lines_and_parquet(
    run_mien: Run, album: Path, model: Path, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = tmp_path / "faces.parquet"
    done = run_mien(
        *("predict", f"{album}/**/*.png", "--from", "-", "--model", model, "--no-detect"),
        *("--jsonl", "-", "--parquet", table, "--csv", tmp_path / "faces.csv"),
        input=f"{album / 'face.jpg'}\n{album / 'torn.jpg'}\n",
    )
    assert done.returncode == 1
    pictures = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [("gray.png", "ok"), ("face.jpg", "ok"), ("torn.jpg", "unreadable")]
    assert [(Path(p["image"]).name, p["status"]) for p in pictures] == expected
    assert "3 pictures; without a face: 0, unreadable: 1" in done.stderr
    rows = parquet.read_table(table).to_pylist()
    with (tmp_path / "faces.csv").open(newline="") as file:
        for row, written in zip(rows, csv.DictReader(file), strict=True):
            assert {k: "" if v is None else str(v) for k, v in row.items()} == written
    assert rows[1]["happy"] == pictures[1]["faces"][0]["scores"]["happy"]


def test_urls_only_where_they_are_allowed(run_mien: Run, model: Path, tmp_path: Path) -> None:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=SAMPLE.parent)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{SAMPLE.name}"
    command = ("predict", url, "--model", model, "--no-detect", "--json")
    refused = run_mien(*command)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "nothing is fetched from a network unless you ask" in refused.stderr
    assert "--allow-urls public" in refused.stderr
    (picture,) = json.loads(run_mien(*command, "--allow-urls", "public").stdout)
    assert picture["reason"] == "127.0.0.1 is at 127.0.0.1, which is not a public address"
    done = run_mien(*command, "--allow-urls", "any", "--annotate", tmp_path / "drawn")
    assert done.returncode == 0, done.stderr
    (picture,) = json.loads(done.stdout)
    assert (picture["image"], picture["width"]) == (url, 512)
    assert Image.open(tmp_path / "drawn" / f"{SAMPLE.stem}-faces.png").size == (960, 960)
    server.shutdown()
    server.server_close()


def test_parquet_without_pyarrow_is_told_before_the_work(
    run_mien: Run, album: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'pyarrow' else find(name, *rest)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for verb in ("predict", "video"):
        done = run_mien(verb, album / "face.jpg", "--parquet", tmp_path / "f", env=environment)
        assert (done.returncode, done.stdout) == (1, "")
        assert "pip install pyarrow" in done.stderr


def test_a_folder_without_pictures(run_mien: Run, tmp_path: Path, model: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run_mien("predict", empty, "--model", model, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert "no pictures" in done.stderr


def test_a_name_that_is_no_text_is_escaped(run_mien: Run, tmp_path: Path, model: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        Image.new("L", (64, 64), 90).save(tmp_path / name)
    except OSError:
        pytest.skip("this file system has no such names")
    table = tmp_path / "faces.csv"
    done = run_mien("predict", tmp_path, "--json", "--csv", table, "--model", model)
    assert done.returncode == 0, done.stderr
    (picture,) = json.loads(done.stdout)
    assert Path(picture["image"]).name == name
    assert "caf\\udce9.png" in table.read_text()


def test_a_table_that_cannot_be_written_costs_no_result(
    run_mien: Run, album: Path, model: Path
) -> None:
    photo = album / "face.jpg"
    done = run_mien("predict", photo, "--json", "--csv", photo / "faces.csv", "--model", model)
    assert done.returncode == 1
    assert len(json.loads(done.stdout)) == 1
    assert f"error: {photo}" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_be_asked(run_mien: Run, album: Path) -> None:
    assert run_mien("predict").returncode == 2
    done = run_mien("predict", album, "--model", album / "torn.jpg")
    assert done.returncode == 1
    assert "no ONNX file" in done.stderr
    assert "Traceback" not in done.stderr


def test_sample(run_mien: Run) -> None:
    done = run_mien("predict", "--sample", "--json")
    assert done.returncode == 0
    (picture,) = json.loads(done.stdout)
    assert picture["faces"][0]["emotion"] == "happy"


def test_models(run_mien: Run, make_model: Callable[..., Path]) -> None:
    accuracy = {"split": "validation", "accuracy": 0.7034, "balanced_accuracy": 0.68}
    provenance = json.dumps({"summary": "a net", "accuracy": accuracy, "license": "Apache-2.0"})
    model = make_model(provenance=provenance)
    done = run_mien("models", model)
    assert done.returncode == 0
    for text in ("70.3%", "68.0%", "validation", "48×48 gray", "Apache-2.0", "a net"):
        assert text in done.stdout
    (facts,) = json.loads(run_mien("models", model, "--json").stdout)
    assert facts["provenance"] == json.loads(provenance)
    assert facts["bytes"] == model.stat().st_size

    names = [facts["name"] for facts in json.loads(run_mien("models", "--json").stdout)]
    assert names == list(bundled_models())


def test_models_with_little_provenance(run_mien: Run, make_model: Callable[..., Path]) -> None:
    for provenance in (None, '{"accuracy": 7, "summary": null}'):
        done = run_mien("models", make_model(provenance=provenance))
        assert done.returncode == 0
        assert "48×48 gray" in done.stdout
