"""What `import mien` brings, and what it and predicting leave alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mien

# What only the extras bring.
HEAVY = (
    *("torch", "lightning_fabric", "safetensors", "pydantic", "tomli_w", "onnx", "pyarrow"),
    *("pandas", "matplotlib", "skimage", "scipy", "sklearn", "onnxscript", "h5py", "jinja2"),
    *("markupsafe", "filelock", "fastapi", "uvicorn", "prometheus_client", "python_multipart"),
)


def modules_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return the top-level modules that it loaded."""
    report = "import json, sys; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    script = f"{code}\n{report}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_exports() -> None:
    assert mien.__all__ == [
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
    for name in mien.__all__:
        assert getattr(mien, name) is not None
    assert set(mien.__all__) <= set(dir(mien))
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        mien.analyse  # noqa: B018


def test_import_is_cheap() -> None:
    loaded = modules_after("import mien")
    assert not loaded & {*HEAVY, "numpy", "cv2", "PIL", "onnxruntime", "click", "rich"}


def test_recognition_needs_the_light_core_only() -> None:
    loaded = modules_after("import mien; mien.Recognizer; mien.analyze; mien.Picture")
    assert {"cv2", "onnxruntime", "numpy"} <= loaded
    assert not loaded & set(HEAVY)


def test_predict_needs_the_light_core_only(tmp_path: Path) -> None:
    arguments = ["predict", "--sample", "--annotate", str(tmp_path), "--csv", str(tmp_path / "f")]
    loaded = modules_after(f"from mien.cli.main import main\nassert main({arguments}) == 0")
    assert "onnxruntime" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("arguments", [["models"], ["models", "--json"], ["weights", "list"]])
def test_lists_need_the_light_core_only(arguments: list[str]) -> None:
    loaded = modules_after(f"from mien.cli.main import main\nassert main({arguments}) == 0")
    assert "click" in loaded
    assert not loaded & set(HEAVY)


def test_predicting_writes_nothing_into_the_home_and_so_no_telemetry(tmp_path: Path) -> None:
    removed = ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")
    kept = {name: value for name, value in os.environ.items() if name not in removed}
    code = "import mien; assert mien.analyze(mien.SAMPLE).faces"
    subprocess.run([sys.executable, "-c", code], env={**kept, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []
