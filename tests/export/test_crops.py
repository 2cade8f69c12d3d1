"""The preprocessing in a graph against the preprocessing itself."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien.errors import MienError
from mien.export.crops import Crops, difference, preprocessing_graph
from mien.images.preprocessing import FilterSpec, Preprocessing, to_gray

Session = onnxruntime.InferenceSession


@pytest.fixture(scope="module")
def session() -> Session:
    """Color crops of any size to gray images of 24 pixels."""
    model = preprocessing_graph(Preprocessing(24), "rgb")
    return Session(model.SerializeToString(), providers=["CPUExecutionProvider"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(height=st.integers(5, 120), width=st.integers(5, 120), seed=st.integers(0, 99))
def test_any_size_is_resized_as_opencv_does(
    height: int, width: int, seed: int, session: Session
) -> None:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    images[1] = cv2.GaussianBlur(images[1], (0, 0), 2)
    found = session.run(None, {"images": images})[0]
    off = np.abs(found.astype(int) - Preprocessing(24)(images))
    # A half that is not exactly one may be rounded the other way.
    assert off.max() <= 1
    assert (off > 0).mean() < 0.05


@pytest.mark.parametrize("side", [24, 48, 72, 120, 100, 33, 17])
def test_usual_sizes_come_out_to_the_gray_level(side: int, session: Session) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    found = session.run(None, {"images": images})[0]
    np.testing.assert_array_equal(found, Preprocessing(24)(images))


def test_gray_is_pillow_s(session: Session) -> None:
    colors = np.random.default_rng(1).integers(0, 256, (50, 24, 24, 3), dtype=np.uint8)
    found = session.run(None, {"images": colors})[0]
    np.testing.assert_array_equal(found, to_gray(colors)[..., 0])


@pytest.mark.parametrize(
    ("preprocessing", "crops"),
    [
        (Preprocessing(20, color=True), "gray"),
        (Preprocessing(20, filter=FilterSpec("unsharp_mask", "before_resize")), "gray"),
        (Preprocessing(20, filter=FilterSpec("equalize_hist")), "rgb"),
    ],
)
def test_color_and_filters_are_in_the_graph(preprocessing: Preprocessing, crops: Crops) -> None:
    model = preprocessing_graph(preprocessing, crops)
    assert difference(model, preprocessing, crops).share < 0.01
    session = Session(model.SerializeToString(), providers=["CPUExecutionProvider"])
    channels = (3,) if crops == "rgb" else ()
    images = np.random.default_rng(2).integers(0, 256, (4, 20, 20, *channels), dtype=np.uint8)
    # Nothing is resized here; what is left is the filter, which rounds some halves the other way.
    off = np.abs(session.run(None, {"images": images})[0].astype(int) - preprocessing(images))
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01


@pytest.mark.parametrize("name", ["clahe", "adaptive_equalize"])
def test_a_filter_that_no_graph_can_hold_is_refused(name: str) -> None:
    with pytest.raises(MienError, match=f"the filter {name} cannot") as caught:
        preprocessing_graph(Preprocessing(20, filter=FilterSpec(name)), "gray")
    assert "--crops" in str(caught.value)
