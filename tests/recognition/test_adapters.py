"""The shapes that other libraries' users expect, exactly."""

from __future__ import annotations

import builtins
import json
from typing import Any

import numpy as np
import pytest

import mien
from mien.recognition.adapters import FEX_COLUMNS, top_emotion
from mien.recognition.results import Face, Frame, Picture, TrackedFace
from mien.recognition.tables import COLUMNS, FRAME_COLUMNS

pd = pytest.importorskip("pandas")

SCORES = {
    "angry": 0.01,
    "disgust": 0.02,
    "fear": 0.03,
    "happy": 0.7,
    "sad": 0.04,
    "surprise": 0.15,
    "neutral": 0.05,
}
POINTS = ((24.6, 30.2), (41.0, 30.0), (33.0, 40.0), (25.0, 50.0), (40.0, 50.0))
FACE = Face((10, 20, 40, 50), 0.92, "happy", 0.7, SCORES, landmarks=POINTS)
LARGE = Face((100, 20, 80, 90), 0.8, "happy", 0.7, SCORES, uncertain=True, quality=("dark",))
PICTURE = Picture("a.jpg", "ok", 200, 150, (FACE, LARGE))
EMPTY = Picture("b.jpg", "no_face", 64, 48)
TRACKED = TrackedFace((1, 2, 3, 4), 0.9, "happy", 0.7, SCORES, track=5, raw=SCORES)
FRAMES = [
    Frame("v.mp4", "no_face", 64, 48, index=0, seconds=0.0),
    Frame("v.mp4", "ok", 64, 48, (TRACKED,), index=2, seconds=61.5),
    Frame("v.mp4", "ok", 64, 48, (TRACKED, TRACKED), index=4, seconds=3600.0),
]


def test_deepface() -> None:
    result = PICTURE.to_deepface()
    assert len(result) == 2
    first, second = result
    assert list(first) == ["emotion", "dominant_emotion", "region", "face_confidence"]
    assert list(first["emotion"]) == list(mien.EMOTIONS)
    assert first["emotion"]["happy"] == pytest.approx(70)
    assert sum(first["emotion"].values()) == pytest.approx(100)
    assert first["dominant_emotion"] == "happy"
    # Left and right are the person's own: the right eye is on the left of the picture.
    eyes = {"left_eye": (41, 30), "right_eye": (25, 30)}
    assert first["region"] == {"x": 10, "y": 20, "w": 40, "h": 50, **eyes}
    assert first["face_confidence"] == 0.92
    assert second["region"]["left_eye"] is None
    assert second["region"]["right_eye"] is None
    assert EMPTY.to_deepface() == []
    json.dumps(result)


def test_fer() -> None:
    assert PICTURE.to_fer()[0] == {"box": (10, 20, 40, 50), "emotions": SCORES}
    assert sum(PICTURE.to_fer()[1]["emotions"].values()) == pytest.approx(1)
    assert EMPTY.to_fer() == []
    assert top_emotion(PICTURE) == ("happy", 0.7)
    assert top_emotion(EMPTY) == (None, None)


def test_fer_s_table_of_a_video() -> None:
    table = mien.to_fer_table(FRAMES)
    emotions = list(mien.EMOTIONS)
    assert list(table.columns) == [
        *("box0", *(f"{emotion}0" for emotion in emotions)),
        *("box1", *(f"{emotion}1" for emotion in emotions)),
    ]
    assert len(table) == 3
    assert table.iloc[0].isna().all()
    assert table["box0"][1] == [1, 2, 3, 4]
    assert table["happy1"].isna().tolist() == [True, True, False]
    assert mien.to_fer_table([]).shape == (0, 0)


def test_fex() -> None:
    table = mien.to_fex(FRAMES)
    assert tuple(table.columns) == FEX_COLUMNS
    assert (
        *("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"),
        *("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"),
        *("input", "frame", "approx_time"),
    ) == FEX_COLUMNS
    assert table["frame"].tolist() == [0, 2, 4, 4]
    assert table["approx_time"].tolist() == ["00:00", "01:01", "60:00", "60:00"]
    assert table.loc[0, list(FEX_COLUMNS[:12])].isna().all()
    assert table.loc[1, "happiness"] == 0.7
    assert table.loc[1, "surprise"] == 0.15
    assert table.loc[1, list(FEX_COLUMNS[:5])].tolist() == [1, 2, 3, 4, 0.9]
    assert table.dtypes["FaceRectX"] == np.float64
    pictures = mien.to_fex([PICTURE, EMPTY])
    assert pictures["input"].tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    assert pictures["frame"].tolist() == [0, 0, 1]
    assert pictures["approx_time"].isna().all()
    assert len(PICTURE.to_fex()) == 2


def test_dataframe() -> None:
    table = mien.to_dataframe([PICTURE, EMPTY, Picture("c", "unreadable", 0, 0, reason="torn")])
    assert tuple(table.columns) == COLUMNS
    assert table["status"].tolist() == ["ok", "ok", "no_face", "unreadable"]
    assert table["verdict"].tolist()[:2] == ["happy", "uncertain"]
    assert table["quality"].tolist()[:2] == ["", "dark"]
    assert table["reason"][3] == "torn"
    assert np.isnan(table["happy"][2])
    assert len(PICTURE.to_dataframe()) == 2


def test_dataframe_of_frames() -> None:
    table = mien.to_dataframe(FRAMES)
    assert tuple(table.columns) == FRAME_COLUMNS
    assert table["frame"].tolist() == [0, 2, 4, 4]
    assert table["seconds"].tolist() == [0, 61.5, 3600, 3600]
    assert table["track"].tolist()[1:] == [5, 5, 5]


def test_without_pandas_the_hint_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(mien.MienError, match="to_fex needs pandas") as caught:
        PICTURE.to_fex()
    assert "pip install pandas" in str(caught.value)
