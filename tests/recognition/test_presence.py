"""Whether small pictures are faces: labelled faces cut out of photos, against noise and plains."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.errors import MienError
from mien.recognition.presence import FacePresence


def _faces(photos: Path) -> list[np.ndarray]:
    cut = []
    for name, boxes in json.loads((photos / "boxes.json").read_text()).items():
        gray = np.asarray(Image.open(photos / name).convert("L"))
        for x, y, width, height in boxes:
            face = gray[max(y, 0) : y + height, max(x, 0) : x + width]
            cut.append(cv2.resize(face, (48, 48), interpolation=cv2.INTER_AREA))
    return cut


def test_faces_score_higher_than_what_is_none(yunet: Path, photos: Path) -> None:
    presence = FacePresence(yunet)
    faces = np.stack(_faces(photos))
    scores = presence(faces)
    assert scores.dtype == np.float32
    # Two of the 18 are small and blurred.
    assert (scores > 0.1).mean() >= 0.8
    assert np.median(scores) > 0.8
    color = np.repeat(faces[:2, ..., None], 3, axis=3)
    assert np.allclose(presence(color), scores[:2], atol=0.02)
    noise = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    assert (presence(np.concatenate([noise, np.zeros_like(noise)])) < 0.1).all()


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"x")
    with pytest.raises(MienError, match="is not YuNet"):
        FacePresence(tmp_path / "x.onnx")
