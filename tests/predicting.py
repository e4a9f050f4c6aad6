"""What the command line needs for a prediction, as files."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
from toys import tiny_sam, toy_clip

from samodal.demo import only_visible
from samodal.frames import write_video

FRAMES = 6
CLIP = toy_clip(frames=FRAMES, hidden=True)


def write_case(folder: Path) -> None:
    """frames/, clip.mp4, visible.json and model/."""
    (folder / "frames").mkdir()
    for index, frame in enumerate(CLIP.video):
        cv2.imwrite(str(folder / "frames" / f"{index:03d}.png"), frame[..., ::-1])
    write_video(folder / "clip.mp4", CLIP.video, fps=10)
    (folder / "visible.json").write_text(json.dumps(results()))
    tiny_sam().save_pretrained(folder / "model")


def results() -> list[dict[str, Any]]:
    return [
        {"video_id": 1, "category_id": t.category_id, "score": 0.9, "segmentations": list(t.visible)}
        for t in only_visible(CLIP.truth)
    ]


def assert_one_line(capsys: pytest.CaptureFixture, name: str) -> None:
    """The error is one line that names what is wrong (progress may stand before it)."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("samodal: ")]
    assert len(lines) == 1
    assert name in lines[0]
