"""The API against its own description: requests made from the document, answers held against it."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from mien.serving.app import create_app

from .conftest import Serve
from .pictures import PICTURES

schemathesis = pytest.importorskip("schemathesis")

from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

schemathesis.openapi.format(
    "picture-base64",
    st.builds(
        lambda start, picture: start + base64.b64encode(picture).decode(),
        st.sampled_from(["", "data:image/png;base64,"]),
        st.sampled_from(PICTURES),
    ),
)
schemathesis.openapi.media_type("image/*", st.sampled_from(PICTURES))


@pytest.fixture
def api(serve: Serve) -> Any:
    running = serve(pictures=1000, seconds=300)
    app = create_app(running.service, hosts=["testserver"])
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_what_it_answers_is_what_it_says(api: Any, mode: Any) -> None:
    tested = 0
    for result in api.get_all_operations():
        operation = result.ok()

        @settings(max_examples=30, deadline=None, database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            # Of a form's parts it names none that it makes of a media type, so they are no files.
            named = case.media_type != "multipart/form-data"
            case.call_and_validate(excluded_checks=[] if named else [positive_data_acceptance])

        with contextlib.suppress(Unsatisfiable):  # what takes nothing cannot be called wrongly
            check()
            tested += 1
    assert tested >= 2
