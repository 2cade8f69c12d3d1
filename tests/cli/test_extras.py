"""What an extra needs, as pyproject.toml says and as verbs look for it."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from mien.cli.common import _EXTRA_PACKAGES, needs
from mien.errors import MienError

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("extra", ["train", "serve"])
def test_verbs_look_for_all_that_the_extra_installs(extra: str) -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    required = [
        _normal(re.split(r"[^\w.-]", each)[0]) for each in project["optional-dependencies"][extra]
    ]
    distributions = packages_distributions()
    looked_for = [
        next(name for name in map(_normal, distributions[package]) if name in required)
        for package in _EXTRA_PACKAGES[extra]
    ]
    assert looked_for == required


@pytest.mark.parametrize("extra", ["train", "serve"])
def test_each_missing_package_names_the_extra(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    needs("this", extra)
    for package in _EXTRA_PACKAGES[extra]:

        def without(name: str, missing: str = package, **options: Any) -> Any:
            return None if name == missing else find(name, **options)

        with monkeypatch.context() as patch:
            patch.setattr(importlib.util, "find_spec", without)
            with pytest.raises(MienError) as caught:
                needs("this", extra)
            assert f"mien[{extra}]" in f"{caught.value.message} {caught.value.hint}", package
