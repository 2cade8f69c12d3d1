"""A folder of weights of its own for every test, and the modules that tests share."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def keras_networks() -> ModuleType:
    """The module keras_definitions.py; skips where Keras is not installed."""
    # Without this, importing Keras looks for TensorFlow.
    os.environ["KERAS_BACKEND"] = "torch"
    pytest.importorskip("keras")
    return _module("keras_definitions")


@pytest.fixture(scope="session")
def layouts() -> ModuleType:
    """The module layouts.py."""
    return _module("layouts")


def _module(name: str) -> ModuleType:
    # Test folders are no packages, so their helpers cannot be imported by name.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
