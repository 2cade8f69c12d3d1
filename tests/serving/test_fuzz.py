"""Whatever comes in, what goes out is a result or a problem; never a defect, never a lost place."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Running, Serve, problem
from .pictures import PICTURES

SETTINGS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CONTENT_TYPES = st.sampled_from(
    [
        *("application/json", "image/png", "application/octet-stream", "text/html", ""),
        *("multipart/form-data", "multipart/form-data; boundary=x", "image/*;;; a=\\"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def running(serve: Serve) -> Running:
    return serve(upload=200_000, pixels=1_000_000, pictures=4, seconds=10)


def _check(running: Running, path: str = "/v1/analyze", **request: object) -> None:
    answer = running.client.post(path, **request)  # type: ignore[arg-type]
    if answer.status_code != 200:
        assert answer.status_code in (400, 413, 415, 422)
        kind = answer.json()["type"].rpartition(":")[2]
        problem(answer, answer.status_code, kind)
    elif path == "/v1/analyze":
        statuses = {picture["status"] for picture in answer.json()["pictures"]}
        assert statuses <= {"ok", "no_face", "unreadable"}
    assert running.service.gate.requests == running.service.gate.bytes == 0


@SETTINGS
@given(content=st.binary(max_size=300), kind=CONTENT_TYPES, query=st.text(max_size=8))
def test_any_bytes_as_any_type(running: Running, content: bytes, kind: str, query: str) -> None:
    _check(
        running,
        content=content,
        headers={"content-type": kind},
        params={"detect": query} if query else {},
    )


@SETTINGS
@given(body=JSON | st.fixed_dictionaries({"image": JSON}) | st.fixed_dictionaries({"images": JSON}))
def test_any_json(running: Running, body: object) -> None:
    _check(
        running,
        content=json.dumps(body).encode("utf-8", "surrogatepass"),
        headers={"content-type": "application/json"},
    )


@SETTINGS
@given(
    parts=st.lists(
        st.tuples(
            st.sampled_from(["file", "file", "img", ""]),
            st.text(max_size=12),
            st.sampled_from(PICTURES) | st.binary(max_size=40),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_form(running: Running, parts: list[tuple[str, str, bytes]]) -> None:
    files = [(field, (name, content)) for field, name, content in parts]
    _check(running, files=files)
    _check(running, "/analyze", files=files)


@SETTINGS
@given(data=st.data(), picture=st.sampled_from(PICTURES), as_json=st.booleans())
def test_torn_and_changed_pictures(
    running: Running, data: st.DataObject, picture: bytes, as_json: bool
) -> None:
    changed = bytearray(picture[: data.draw(st.integers(1, len(picture)), "length")])
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255)), max_size=8)
    ):
        changed[place] = value
    if as_json:
        text = base64.b64encode(changed).decode()
        _check(running, json={"image": text})
        _check(running, "/analyze", json={"img": text})
    else:
        _check(running, content=bytes(changed), headers={"content-type": "image/jpeg"})
