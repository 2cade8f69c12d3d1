"""The Python on the pages about photos, explanations and videos runs."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.images.decode import decode

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["recognition.md", "explain.md", "video.md"])
def test_the_blocks_of_a_page_run_in_order(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    code = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter("talk.mp4", code, 10, (320, 240))
    photo = np.ascontiguousarray(decode(mien.SAMPLE).pixels[:240, 60:380, ::-1])
    for _ in range(6):
        writer.write(photo)
    writer.release()
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert len(blocks) >= 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
