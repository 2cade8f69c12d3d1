import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.emotions import EMOTIONS, FERPLUS_VOTES, canonical, ferplus_column


def test_the_order_is_fer2013s() -> None:
    assert EMOTIONS == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("happy", "happy"),
        ("Anger", "angry"),
        (" FEARFUL ", "fear"),
        ("3", "happy"),
        ("06", "neutral"),
        ("5_surprised", "surprise"),
        ("0-angry", "angry"),
        ("Sadness.4", "sad"),
        ("7", None),
        ("-1", None),
        ("contempt", None),
        ("", None),
        ("²", None),
        ("happy sad", None),
    ],
)
def test_usual_spellings(name: str, emotion: str | None) -> None:
    assert canonical(name) == emotion


@settings(deadline=None)
@given(st.text())
def test_any_text_names_an_emotion_or_none(name: str) -> None:
    assert canonical(name) in (*EMOTIONS, None)


def test_votes_are_found_by_emotion() -> None:
    found = {emotion: FERPLUS_VOTES[ferplus_column(emotion)] for emotion in EMOTIONS}
    assert found == {
        "angry": "anger",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "happiness",
        "sad": "sadness",
        "surprise": "surprise",
        "neutral": "neutral",
    }
