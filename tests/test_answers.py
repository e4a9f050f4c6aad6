from pathlib import Path

import numpy as np
import pytest
from toys import tiny_sam, toy_clip

from samodal.answers import AnswerLog
from samodal.demo import only_visible
from samodal.pipeline import AmodalVideoSegmenter
from samodal.sam.ask import Answer

CLIP = toy_clip(frames=6)
VISIBLE = only_visible(CLIP.truth)
MODEL = tiny_sam()


class StoppedError(Exception):
    pass


def look(log: AnswerLog | None, monkeypatch: pytest.MonkeyPatch, stop_after: int = 100) -> tuple[list, int]:
    """Amodal masks, scores and points of all tracks, and how many frames were encoded."""
    encoded = 0
    encode_batch = MODEL.encode_batch

    def counting(frames: list[np.ndarray], together: int = 1) -> list:
        nonlocal encoded
        encoded += len(frames)
        return encode_batch(frames, together)

    frames_done = 0

    def progress() -> None:
        nonlocal frames_done
        frames_done += 1
        if frames_done == stop_after:
            raise StoppedError

    monkeypatch.setattr(MODEL, "encode_batch", counting)
    tracks = AmodalVideoSegmenter(MODEL, batch=1).look(CLIP.video, VISIBLE, progress, log).tracks
    monkeypatch.undo()
    points = [[None if p is None else p.tolist() for p in track.points] for track in tracks]
    return [(t.amodal, t.scores, p) for t, p in zip(tracks, points, strict=True)], encoded


def test_what_is_known_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, identity = tmp_path / "answers.jsonl", {"seed": 0}
    with pytest.raises(StoppedError):
        look(AnswerLog(path, identity), monkeypatch, stop_after=4)
    monkeypatch.undo()
    with path.open("a") as file:
        file.write('{"frame": 4, "ans')  # cut off within a line
    again, encoded = look(AnswerLog(path, identity), monkeypatch)
    assert encoded <= 2, "four at least were known; the stage may have been ahead"
    whole, encoded = look(None, monkeypatch)
    assert encoded == 6
    assert again == whole
    assert look(AnswerLog(path, identity), monkeypatch) == (whole, 0)


def test_answers_of_another_run_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    log = AnswerLog(path, {"seed": 0})
    log.add(
        0,
        {
            1: Answer(np.ones((2, 3), bool), 0.5, None),
            2: Answer(np.eye(3, dtype=bool), 1.0, np.ones((1, 2), int)),
        },
    )
    same = AnswerLog(path, {"seed": 0})
    assert same[0][1].points is None
    assert same[0][2].amodal.tolist() == np.eye(3).tolist()
    assert same[0][2].points.tolist() == [[1, 1]]
    assert 0 not in AnswerLog(path, {"seed": 1})
    assert 0 not in AnswerLog(path, {"seed": 0}), "the other run began the file anew"


def test_the_file_goes_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    log = AnswerLog(path, {})
    log.remove()
    assert not path.exists()
    log.add(0, {})
    assert not path.exists()
