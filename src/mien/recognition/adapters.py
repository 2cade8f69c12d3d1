"""Results in the shapes of DeepFace, fer and Py-Feat, and as a pandas table.

They are for code that expects those shapes. What those libraries do where there is no face differs
from one to the next; each function says what it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.recognition.results import Face, Frame, Picture
from mien.recognition.tables import COLUMNS, FRAME_COLUMNS
from mien.recognition.tables import rows as rows_of

if TYPE_CHECKING:
    import pandas as pd

# Py-Feat names the emotions by nouns.
_NOUNS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
FEX_COLUMNS: tuple[str, ...] = (
    *("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"),
    *("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"),
    *("input", "frame", "approx_time"),
)
"""The columns of Py-Feat's `Fex` that expressions have."""


def to_deepface(picture: Picture) -> list[dict[str, Any]]:
    """Return what `DeepFace.analyze(img, actions=["emotion"])` does: a dictionary a face.

    Emotions are in percent, sum 100. Left and right eye are the person's own, None where the
    detector knows no landmarks. Where there is no face the list is empty; DeepFace raises an error.
    """
    return [_deepface(face) for face in picture.faces]


def _deepface(face: Face) -> dict[str, Any]:
    x, y, width, height = face.box
    right = left = None
    if face.landmarks is not None:
        right, left = ((round(px), round(py)) for px, py in face.landmarks[:2])
    return {
        "emotion": {emotion: 100 * face.scores[emotion] for emotion in EMOTIONS},
        "dominant_emotion": face.emotion,
        "region": {
            "x": x,
            "y": y,
            "w": width,
            "h": height,
            "left_eye": left,
            "right_eye": right,
        },
        "face_confidence": face.detection,
    }


def to_fer(picture: Picture) -> list[dict[str, Any]]:
    """Return what `FER().detect_emotions(img)` does: `box` and `emotions` (sum 1) a face."""
    return [{"box": face.box, "emotions": dict(face.scores)} for face in picture.faces]


def top_emotion(picture: Picture) -> tuple[str | None, float | None]:
    """Return what `FER().top_emotion(img)` does: the likeliest emotion of the largest face.

    (None, None) where there is no face.
    """
    if not picture.faces:
        return None, None
    face = max(picture.faces, key=lambda face: face.box[2] * face.box[3])
    return face.emotion, face.confidence


def to_fex(pictures: Iterable[Picture]) -> pd.DataFrame:
    """Return pictures or frames as Py-Feat does: a row a face, with the `FEX_COLUMNS`.

    What has no face stays as a row of NaN. `frame` is a video's, and else counts the pictures;
    `approx_time` is `MM:SS`, and None for pictures. It is a plain pandas table: `feat.Fex(table)`
    makes Py-Feat's own of it.

    Raises:
        MienError: pandas is not installed.
    """
    pandas = _pandas("to_fex")
    rows: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures):
        common = {"input": picture.image, **_time(picture, number)}
        rows += [{**common, **_fex(face)} for face in picture.faces] or [common]
    table: pd.DataFrame = pandas.DataFrame(rows, columns=list(FEX_COLUMNS))
    numbers = list(FEX_COLUMNS[:12])
    table[numbers] = table[numbers].astype(float)
    return table


def _fex(face: Face) -> dict[str, Any]:
    emotions = {_NOUNS[emotion]: score for emotion, score in face.scores.items()}
    return {
        **dict(zip(FEX_COLUMNS[:4], face.box, strict=True)),
        "FaceScore": face.detection,
        **emotions,
    }


def _time(picture: Picture, number: int) -> dict[str, Any]:
    if not isinstance(picture, Frame):
        return {"frame": number, "approx_time": None}
    minutes, seconds = divmod(int(picture.seconds), 60)
    return {"frame": picture.index, "approx_time": f"{minutes:02d}:{seconds:02d}"}


def to_fer_table(pictures: Iterable[Picture]) -> pd.DataFrame:
    """Return frames as fer's `Video.to_pandas` does: `box0, angry0, …, box1, …`, a row a frame.

    What has no face stays as a row of NaN, so that the rows keep their times.

    Raises:
        MienError: pandas is not installed.
    """
    pandas = _pandas("to_fer_table")
    rows = []
    most = 0
    for picture in pictures:
        most = max(most, len(picture.faces))
        row: dict[str, Any] = {}
        for number, face in enumerate(picture.faces):
            row[f"box{number}"] = list(face.box)
            row |= {f"{emotion}{number}": score for emotion, score in face.scores.items()}
        rows.append(row)
    columns = [f"{name}{number}" for number in range(most) for name in ("box", *EMOTIONS)]
    table: pd.DataFrame = pandas.DataFrame(rows, columns=columns, index=range(len(rows)))
    return table


def to_dataframe(pictures: Iterable[Picture]) -> pd.DataFrame:
    """Return pictures or frames as a table: a row a face, and one for what has none.

    The columns are those of `mien predict --csv` (of frames: of `mien video --csv`).

    Raises:
        MienError: pandas is not installed.
    """
    pandas = _pandas("to_dataframe")
    pictures = list(pictures)
    frames = any(isinstance(picture, Frame) for picture in pictures)
    columns = FRAME_COLUMNS if frames else COLUMNS
    rows = [row for picture in pictures for row in rows_of(picture)]
    table: pd.DataFrame = pandas.DataFrame(rows, columns=list(columns))
    return table


def _pandas(what: str) -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise MienError(
            f"{what} needs pandas", hint="install it with: pip install pandas"
        ) from error
    return pd
