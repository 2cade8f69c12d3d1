"""The model card's figures are those of the shipped file, and it says what is off limits."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.predictions import Predictions
from mien.recognition.bundled import DEFAULT, OFF_LIMITS
from mien.recognition.classifier import OnnxClassifier

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("card", ROOT / "docs" / "card.py")
assert _spec is not None
assert _spec.loader is not None
card = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(card)
PAGE = (ROOT / "docs" / "model-card.md").read_text()


def test_the_card_is_that_of_the_file() -> None:
    assert card.card(PAGE) == PAGE, "run: python docs/card.py"


def test_the_card_has_all_its_parts() -> None:
    for part in ("model", "figures", "calibration"):
        assert PAGE.count(f"<!-- {part}: made by docs/card.py -->") == 1
    # What export measured is in the file too.
    figures = OnnxClassifier(DEFAULT).provenance["accuracy"]
    assert f"| accuracy | {100 * figures['accuracy']:.2f} % |" in PAGE
    assert f"| balanced accuracy | {100 * figures['balanced_accuracy']:.2f} % |" in PAGE
    assert f"all {figures['images']:,} images" in PAGE
    assert "without the 280 seen in training" in PAGE
    for emotion in EMOTIONS:
        assert f"| {emotion} | 0." in PAGE


def test_the_card_says_what_the_program_says_is_off_limits() -> None:
    assert " ".join(OFF_LIMITS.split()) in " ".join(PAGE.split())


def test_predictions_of_another_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"bundled/{DEFAULT}-validation.parquet"
    predictions = Predictions.load(ROOT / "results" / name)
    other = replace(predictions, info={**predictions.info, "model_sha256": "0"})
    (tmp_path / "bundled").mkdir()
    other.save(tmp_path / name)
    monkeypatch.setattr(card, "RESULTS", tmp_path)
    with pytest.raises(MienError, match=r"not those of mien-small\.onnx"):
        card.card(PAGE)
