"""The API: what it answers to pictures, and the problem that each bound provokes."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import mien
from mien.emotions import EMOTIONS
from mien.serving.problems import KINDS
from mien.serving.schemas import Answer

from .conftest import Serve, problem

JPEG = {"content-type": "image/jpeg"}


def _png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


def _send(client: TestClient, content: bytes, **headers: str) -> httpx.Response:
    return client.post("/v1/analyze", content=content, headers={**JPEG, **headers})


def _wait(condition) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_picture_in_each_form_is_what_the_library_says(serve: Serve, photo: bytes) -> None:
    client = serve().client
    text = base64.b64encode(photo).decode()
    answers = [
        client.post("/v1/analyze", files={"file": ("astronaut.jpg", photo)}),
        client.post("/v1/analyze", json={"image": text}),
        client.post("/v1/analyze", json={"images": [f"data:image/jpeg;base64,{text}"]}),
        _send(client, photo),
    ]
    expected = mien.Recognizer(detector=lambda picture: [(10, 10, 40, 40)]).analyze(photo).to_dict()
    for answer, name in zip(answers, ("astronaut.jpg", *["image-1"] * 3), strict=True):
        assert answer.status_code == 200, answer.text
        (picture,) = answer.json()["pictures"]
        assert picture.pop("faces_left_out") == 0
        scores = picture["faces"][0].pop("scores")
        assert list(scores) == list(EMOTIONS)
        assert picture["faces"][0].pop("confidence") == pytest.approx(max(scores.values()))
        (face,) = expected["faces"]
        assert scores == pytest.approx(face["scores"], abs=1e-5)
        rest = {key: face[key] for key in face.keys() - {"scores", "confidence"}}
        assert picture == {**expected, "image": name, "faces": [rest]}


def test_a_client_of_deepface_gets_its_shape(serve: Serve, photo: bytes) -> None:
    running = serve()
    url = "data:image/jpeg;base64," + base64.b64encode(photo).decode()
    body = {"img": url, "actions": ["emotion"], "detector_backend": "opencv"}
    (face,) = running.client.post("/analyze", json=body).json()["results"]
    assert list(face) == ["emotion", "dominant_emotion", "region", "face_confidence"]
    assert sum(face["emotion"].values()) == pytest.approx(100, abs=1e-3)
    assert face["dominant_emotion"] == max(face["emotion"], key=face["emotion"].get)
    assert {key: face["region"][key] for key in "xywh"} == {"x": 10, "y": 10, "w": 40, "h": 40}
    for wrong in (
        {"img": "http://127.0.0.1/a.jpg"},
        {"img": "/etc/passwd"},
        {"img": url, "actions": ["age", "emotion"]},
        {"actions": ["emotion"]},
    ):
        problem(running.client.post("/analyze", json=wrong), 422, "invalid-request")
    for actions in ("emotion", "['emotion']", '["emotion"]', None):
        form = {} if actions is None else {"actions": actions, "align": "false"}
        sent = running.client.post("/analyze", files={"img": ("a.jpg", photo)}, data=form)
        assert sent.json() == {"results": [face]}
    as_text = running.client.post("/analyze", files={"img": (None, url)})
    assert as_text.json() == {"results": [face]}
    file = {"img": ("a.jpg", photo)}
    wrong_form = running.client.post("/analyze", files=file, data={"actions": "age"})
    problem(wrong_form, 422, "invalid-request")
    problem(running.client.post("/analyze", content=photo, headers=JPEG), 415, "unknown-format")
    running.detector.boxes = []
    assert running.client.post("/analyze", json={"img": url}).json() == {"results": []}


def test_a_batch_keeps_its_order_and_survives_its_worst_pictures(
    serve: Serve, photo: bytes
) -> None:
    running = serve(pixels=300_000, faces=2)
    sure = (0.9, 0.1, 0.2, 0.3, 0.4, 0.5)
    running.detector.boxes = [(60.0 * i, 10.0, 40.0, 40.0, score) for i, score in enumerate(sure)]
    files = [
        ("file", ("torn.jpg", photo[:20_000])),
        ("file", ("a.jpg", photo)),
        ("file", ("words.jpg", b"no picture")),
        ("file", ("large.png", _png(1000, 1000))),
        ("file", ("empty", b"")),
    ]
    answer = running.client.post("/v1/analyze", files=files)
    assert answer.status_code == 200, answer.text
    Answer.model_validate(answer.json())
    pictures = answer.json()["pictures"]
    assert [(p["image"], p["status"]) for p in pictures] == [
        ("torn.jpg", "unreadable"),
        ("a.jpg", "ok"),
        ("words.jpg", "unreadable"),
        ("large.png", "unreadable"),
        ("empty", "unreadable"),
    ]
    # Of six faces the two surest are kept, from left to right.
    assert pictures[1]["faces_left_out"] == 4
    assert [face["box"][0] for face in pictures[1]["faces"]] == [0, 300]
    assert "1000×1000" in pictures[3]["reason"]


def test_a_crop_is_a_face_as_it_is(serve: Serve, photo: bytes) -> None:
    running = serve()
    before = running.detector.calls
    answer = running.client.post("/v1/analyze?detect=false", content=photo, headers=JPEG)
    assert answer.json()["pictures"][0]["faces"][0]["box"] == [0, 0, 512, 512]
    assert running.detector.calls == before


@pytest.mark.parametrize(
    ("send", "status", "kind"),
    [
        ({"content": b"words", "headers": JPEG}, 415, "unknown-format"),
        ({"content": b"words", "headers": {"content-type": "text/plain"}}, 415, "unknown-format"),
        ({"content": b"words"}, 415, "unknown-format"),
        ({}, 415, "unknown-format"),
        ({"content": b"", "headers": JPEG}, 422, "invalid-request"),
        ({"content": bytes(70_001), "headers": JPEG}, 413, "too-large"),
        ({"content": (bytes(9_000) for _ in range(9)), "headers": JPEG}, 413, "too-large"),
        ({"content": _png(2000, 2000), "headers": JPEG}, 413, "too-large"),
        ({"files": [("file", ("a", b"1"))] * 4}, 413, "too-large"),
        ({"json": {"images": ["AAAA"] * 4}}, 413, "too-large"),
        ({"files": {"picture": ("a.jpg", b"1")}}, 422, "invalid-request"),
        ({"data": {"file": "text"}, "files": {"file": ("a", b"1")}}, 422, "invalid-request"),
        ({"json": {"image": "AAAA", "images": ["AAAA"]}}, 422, "invalid-request"),
        ({"json": {"image": "AAAA", "url": "http://127.0.0.1"}}, 422, "invalid-request"),
        ({"json": {"images": []}}, 422, "invalid-request"),
        ({"json": {}}, 422, "invalid-request"),
        ({"json": {"image": 7}}, 422, "invalid-request"),
        ({"json": {"image": "not/base64!"}}, 422, "invalid-request"),
        ({"json": ["AAAA"]}, 422, "invalid-request"),
        (
            {"content": b'{"image": ', "headers": {"content-type": "application/json"}},
            *(422, "invalid-request"),
        ),
        (
            {"content": b"--x", "headers": {"content-type": "multipart/form-data"}},
            *(422, "invalid-request"),
        ),
        (
            {"content": b"no", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            *(422, "invalid-request"),
        ),
        ({"params": {"detect": "maybe"}, "content": b"1", "headers": JPEG}, 422, "invalid-request"),
    ],
)
def test_what_is_wrong_is_told(
    serve: Serve, send: dict[str, object], status: int, kind: str
) -> None:
    running = serve(upload=70_000, pixels=300_000, pictures=3)
    problem(running.client.post("/v1/analyze", **send), status, kind)  # type: ignore[arg-type]
    assert running.service.gate.requests == running.service.gate.bytes == 0


def test_a_torn_picture_is_an_error_when_it_is_alone(serve: Serve, photo: bytes) -> None:
    found = problem(_send(serve().client, photo[:20_000]), 422, "unreadable-picture")
    assert found["detail"].startswith("damaged")


def test_an_error_in_json_names_its_place_and_keeps_the_picture_to_itself(serve: Serve) -> None:
    secret = "c2VjcmV0"
    answer = serve().client.post("/v1/analyze", json={"images": [secret, 3], "mode": secret})
    found = problem(answer, 422, "invalid-request")
    assert [error["pointer"] for error in found["errors"]] == ["/images/1", "/mode"]
    assert secret not in answer.text


def test_the_framework_s_own_errors_are_problems(serve: Serve) -> None:
    client = serve().client
    problem(client.get("/nowhere"), 404)
    problem(client.get("/docs"), 404)
    problem(client.post("/v1/analyze/"), 404)
    problem(client.get("/page/nothing.js"), 404)
    refused = client.get("/v1/analyze")
    problem(refused, 405)
    assert refused.headers["allow"] == "POST"


def test_a_defect_is_a_problem_without_its_words(serve: Serve, photo: bytes) -> None:
    running = serve()
    running.detector.boxes = [(1.0,)]
    answer = _send(running.client, photo)
    problem(answer, 500)
    assert "Traceback" not in answer.text
    assert "detector" not in answer.text
    running.detector.boxes = []
    assert _send(running.client, photo).json()["pictures"][0]["status"] == "no_face"


def test_a_full_house_refuses_at_once_and_goes_on(serve: Serve, photo: bytes) -> None:
    running = serve(workers=1, requests=2, per_client=2)
    running.detector.free.clear()
    with ThreadPoolExecutor(2) as pool:
        accepted = [pool.submit(_send, running.client, photo) for _ in range(2)]
        _wait(lambda: running.service.gate.requests == 2)
        refused = _send(running.client, photo)
        problem(refused, 429, "too-many-requests")
        assert refused.headers["retry-after"] == "1"
        running.service.gate._clients.clear()
        problem(_send(running.client, photo), 503, "busy")
        running.service.gate._clients["testclient"] = 2
        running.detector.free.set()
        assert [job.result().status_code for job in accepted] == [200, 200]
    assert _send(running.client, photo).status_code == 200


def test_what_takes_too_long_is_given_up_but_keeps_its_place(
    serve: Serve, photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    running = serve(workers=1, seconds=0.2)
    calls = running.detector.calls
    running.detector.free.clear()
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: _send(running.client, photo), range(2)))
    for answer in answers:
        problem(answer, 503, "overdue")
        assert answer.headers["retry-after"] == "1"
    # One is in a thread, which nothing stops; the other was dropped before it began.
    _wait(lambda: running.service.gate.requests == 1)
    running.detector.free.set()
    _wait(lambda: running.service.gate.requests == 0)
    assert running.detector.calls == calls + 1
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_stopping_refuses_new_work_and_is_not_ready(serve: Serve, photo: bytes) -> None:
    running = serve()
    assert running.client.get("/v2/health/ready").json() == {"ready": True}
    running.service.gate.close()
    problem(running.client.get("/v2/health/ready"), 503, "stopping")
    assert running.client.get("/v2/health/live").json() == {"live": True}
    refused = _send(running.client, photo)
    problem(refused, 503, "stopping")
    assert refused.headers["retry-after"] == "5"


def test_a_token_is_demanded_of_all_but_the_page(serve: Serve, photo: bytes) -> None:
    client = serve(token="right-right-right").client
    for path in ("/", "/page/main.js", "/v2/health/live", "/v2/health/ready", "/openapi.json"):
        assert client.get(path).status_code == 200, path
    for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic ü"}):
        refused = client.get("/v1/models", headers={k: v.encode() for k, v in wrong.items()})
        problem(refused, 401, "unauthorized")
        assert refused.headers["www-authenticate"] == "Bearer"
    problem(client.get("/metrics"), 401, "unauthorized")
    problem(_send(client, photo), 401, "unauthorized")
    assert _send(client, photo, authorization="Bearer right-right-right").status_code == 200
    paths = client.get("/openapi.json").json()["paths"]
    secured = {path for path in paths if "security" in next(iter(paths[path].values()))}
    assert secured == {"/analyze", "/v1/analyze", "/v1/models", "/metrics"}


def test_other_sites_and_other_names_are_refused(serve: Serve, photo: bytes) -> None:
    client = serve().client
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9"):
        refused = _send(client, photo, origin=origin)
        problem(refused, 403, "cross-site")
        assert not [name for name in refused.headers if name.startswith("access-control")]
    assert _send(client, photo, origin="http://127.0.0.1").status_code == 200
    problem(_send(client, photo, host="evil.example"), 421, "wrong-host")
    problem(_send(client, photo, host="[bad"), 421, "wrong-host")
    assert _send(client, photo, host="localhost:8000").status_code == 200
    elsewhere = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    problem(client.get("/metrics", headers=elsewhere), 403, "cross-site")
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200


def test_models_and_metrics(serve: Serve, photo: bytes) -> None:
    running = serve()
    (model,) = running.client.get("/v1/models").json()["models"]
    answer = _send(running.client, photo).json()
    assert model["name"] == answer["model"]
    assert model["labels"] == list(EMOTIONS)
    assert str(Path.home()) not in json.dumps(model)
    _send(running.client, b"words")
    running.client.request("BREW", "/nowhere")
    text = running.client.get("/metrics").text
    for line in (
        'mien_requests_total{method="POST",route="/v1/analyze",status="200"} 1.0',
        'mien_requests_total{method="POST",route="/v1/analyze",status="415"} 1.0',
        'mien_requests_total{method="other",route="other",status="404"} 1.0',
        'mien_pictures_total{status="ok"} 1.0',
        'mien_pictures_total{status="unreadable"} 1.0',
        "mien_faces_total 1.0",
        "mien_batch_faces_count 1.0",
        "mien_accepted_requests 0.0",
        "mien_ready 1.0",
    ):
        assert line in text.splitlines(), line


def test_nothing_of_a_picture_is_stored_or_logged(
    serve: Serve,
    photo: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    caplog.set_level(logging.DEBUG)
    client = serve(upload=5_000_000).client
    # JPEG decoders pass over what follows; so it is larger than what forms are kept in memory for.
    large = photo + bytes(3_000_000)
    answer = client.post("/v1/analyze", files={"file": ("a-secret-name.jpg", large)})
    assert answer.status_code == 200, answer.text
    assert "a-secret-name" not in caplog.text


def test_every_route_and_problem_is_described(serve: Serve) -> None:
    description = serve().client.get("/openapi.json").json()
    assert set(description["paths"]) == {
        *(
            "/analyze",
            "/v1/analyze",
            "/v1/models",
            "/v2/health/live",
            "/v2/health/ready",
            "/metrics",
        )
    }
    analyze = description["paths"]["/v1/analyze"]["post"]
    assert {str(status) for status, _ in KINDS.values()} == analyze["responses"].keys() - {"200"}
    assert set(analyze["requestBody"]["content"]) == {
        *("multipart/form-data", "application/json", "image/*")
    }
    references = {part.split('"')[0] for part in json.dumps(description).split('"#/')[1:]}
    for reference in references:
        found = description
        for key in reference.split("/"):
            found = found[key]


def test_the_page_needs_no_other_server(serve: Serve) -> None:
    client = serve().client
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    for path in ("page/main.js", "page/style.css", "page/icon.svg"):
        assert f'"{path}"' in page.text
        assert client.get(f"/{path}").status_code == 200
    assert "https://" not in page.text
