"""Which room may import which, as `docs/architecture.md` says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mien

PACKAGE = Path(mien.__file__).parent
BASE = {"emotions", "errors", "files", "progress", "version"}
ALLOWED: dict[str, set[str]] = {
    "data": {"images"},
    "images": set(),
    "models": set(),
    "evaluation": {"data", "images"},
    "training": {"data", "images", "models", "evaluation", "weights"},
    "export": {"data", "images", "models", "training", "evaluation"},
    "recognition": {"images", "weights"},
    "serving": {"images", "recognition"},
    "weights": {"models"},
    "classical": {"data", "images", "models", "evaluation", "training"},
    "experiments": {"data", "images", "models", "evaluation", "training", "weights", "classifiers"},
}
# Heavy packages that the light core must not load; recognition is all that it needs.
HEAVY = {
    *("torch", "lightning_fabric", "safetensors", "pydantic", "tomli_w", "onnx", "onnxscript"),
    *("pyarrow", "pandas", "matplotlib", "skimage", "scipy", "sklearn", "h5py", "jinja2"),
    *("markupsafe", "filelock"),
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    allowed = ALLOWED[room] | BASE | {room}
    for path in (PACKAGE / room).rglob("*.py"):
        for name in _imports(path):
            parts = name.split(".")
            if parts[0] == "mien" and len(parts) > 1:
                assert parts[1] in allowed, f"{path.relative_to(PACKAGE)} imports {name}"


def test_every_room_is_listed() -> None:
    rooms = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()}
    assert rooms == ALLOWED.keys() | {"cli"}


def test_recognition_names_no_heavy_package() -> None:
    for path in (PACKAGE / "recognition").rglob("*.py"):
        # Whoever asks for a pandas table has pandas; `test_import` sees that nobody else loads it.
        allowed = {"pandas"} if path.name in ("adapters.py", "results.py") else set()
        assert not ({name.split(".")[0] for name in _imports(path)} & HEAVY) - allowed, path
