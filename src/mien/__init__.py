"""mien reads facial expressions.

Importing it and predicting with it need neither torch nor the network.
"""

import os
from typing import TYPE_CHECKING, Any

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.version import __version__

if TYPE_CHECKING:
    from mien.recognition.adapters import to_dataframe, to_fer_table, to_fex
    from mien.recognition.annotate import annotate
    from mien.recognition.bundled import SAMPLE
    from mien.recognition.detectors import FaceOptions
    from mien.recognition.explain import Explanation, explain
    from mien.recognition.recognizer import Recognizer, analyze
    from mien.recognition.results import Face, Frame, Picture, TrackedFace
    from mien.recognition.video import analyze_video

# onnxruntime 1.32 notes every process for its makers and, by its Privacy.md, sends them the notes,
# unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "EMOTIONS",
    "SAMPLE",
    "Explanation",
    "Face",
    "FaceOptions",
    "Frame",
    "MienError",
    "Picture",
    "Recognizer",
    "TrackedFace",
    "__version__",
    "analyze",
    "analyze_video",
    "annotate",
    "explain",
    "to_dataframe",
    "to_fer_table",
    "to_fex",
]

# What needs OpenCV or onnxruntime is imported when it is first used.
_LAZY = {
    "SAMPLE": "mien.recognition.bundled",
    "Explanation": "mien.recognition.explain",
    "Face": "mien.recognition.results",
    "FaceOptions": "mien.recognition.detectors",
    "Frame": "mien.recognition.results",
    "Picture": "mien.recognition.results",
    "Recognizer": "mien.recognition.recognizer",
    "TrackedFace": "mien.recognition.results",
    "analyze": "mien.recognition.recognizer",
    "analyze_video": "mien.recognition.video",
    "annotate": "mien.recognition.annotate",
    "explain": "mien.recognition.explain",
    "to_dataframe": "mien.recognition.adapters",
    "to_fer_table": "mien.recognition.adapters",
    "to_fex": "mien.recognition.adapters",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
