"""The models that come with the package, by name."""

from __future__ import annotations

import os
from pathlib import Path

from mien.errors import MienError, nearest

ASSETS = Path(__file__).resolve().parent.parent / "assets"
DEFAULT = "small"
SAMPLE = ASSETS / "astronaut.jpg"
"""A photo to try with: NASA's portrait of the astronaut Eileen Collins, public domain."""

OFF_LIMITS = """\
Off limits: judging, selecting, ranking, monitoring or diagnosing people; anything with a
consequence for the person in the picture. In the EU, inferring emotions at the workplace and in
education is prohibited (AI Act, article 5)."""
"""What no model of expressions may be used for; the model card says the same."""


def bundled_models() -> dict[str, Path]:
    """Return the files of the bundled models by their names, in the order of the names."""
    files = sorted(ASSETS.glob("mien-*.onnx"))
    return {file.stem.removeprefix("mien-"): file for file in files}


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """Return the file of a model: a path, the name of a bundled one, or None for the default.

    Raises:
        MienError: there is neither a file nor a bundled model of that name.
    """
    known = bundled_models()
    name = DEFAULT if model is None else os.fspath(model)
    if name in known:
        return known[name]
    if Path(name).is_file():
        return Path(name)
    if Path(name).suffix or len(Path(name).parts) > 1:
        raise MienError(f"there is no model {name}", hint="mien export makes one from a run")
    raise MienError(f"unknown model {name!r}", hint=nearest(name, known) if known else None)
